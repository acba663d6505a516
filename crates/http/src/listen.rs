//! A listener, with or without TLS, that drops slow clients and has a bounded number of connections.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::Router;
use axum_server::tls_rustls::RustlsConfig;
use hyper_util::rt::TokioTimer;
use thiserror::Error;

use crate::connections::{Connections, MAX_CONNECTIONS};
use crate::install_tls_provider;

/// Maximum wait for the head of a request, and the interval of HTTP/2 keep-alive pings.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum size of the head of a request, in bytes.
const MAX_HEAD_BYTES: usize = 32 << 10;

/// A bound listener that does not accept connections yet.
pub struct Listening {
    listener: TcpListener,
    tls: Option<RustlsConfig>,
    /// The bound address. The port is never 0.
    pub at: SocketAddr,
}

/// Why a server could not listen.
#[derive(Debug, Error)]
pub enum ListenError {
    /// The address cannot be bound.
    #[error("{0}: {1}")]
    Address(SocketAddr, #[source] std::io::Error),
    /// The certificate or its key cannot be read.
    #[error("{} and {}: {source}", certificate.display(), key.display())]
    Certificate {
        /// The path of the certificate.
        certificate: PathBuf,
        /// The path of the key.
        key: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
}

impl ListenError {
    /// Returns the setting at fault, relative to its section: `listen` or `tls`.
    #[must_use]
    pub fn setting(&self) -> &'static str {
        match self {
            Self::Address(..) => "listen",
            Self::Certificate { .. } => "tls",
        }
    }
}

/// Binds an address. With `tls`, the paths of a certificate and its key, the server uses TLS.
///
/// # Errors
/// If the address cannot be bound or the certificate cannot be read.
pub async fn listen(address: SocketAddr, tls: Option<&(PathBuf, PathBuf)>) -> Result<Listening, ListenError> {
    let unbound = |e| ListenError::Address(address, e);
    let listener = TcpListener::bind(address).map_err(unbound)?;
    listener.set_nonblocking(true).map_err(unbound)?;
    let at = listener.local_addr().map_err(unbound)?;
    let tls = match tls {
        None => None,
        Some((certificate, key)) => Some(certificate_of(certificate, key).await?),
    };
    Ok(Listening { listener, tls, at })
}

async fn certificate_of(certificate: &Path, key: &Path) -> Result<RustlsConfig, ListenError> {
    install_tls_provider();
    let read = RustlsConfig::from_pem_file(certificate, key).await;
    read.map_err(|source| ListenError::Certificate {
        certificate: certificate.into(),
        key: key.into(),
        source,
    })
}

impl Listening {
    /// Serves until the process ends. Requests have a [`Trust`](crate::Trust) as extension.
    ///
    /// # Errors
    /// If the listener fails.
    pub async fn serve(self, routes: Router) -> std::io::Result<()> {
        let app = routes.into_make_service_with_connect_info::<SocketAddr>();
        let connections = Connections::new(MAX_CONNECTIONS);
        match self.tls {
            None => {
                let server = axum_server::from_tcp(self.listener)?.http1_only();
                let mut server = server.acceptor(connections);
                limit(server.http_builder());
                server.serve(app).await
            }
            Some(tls) => {
                // Browsers use HTTP/2 over TLS, so that all their pages share one connection.
                let server = axum_server::from_tcp_rustls(self.listener, tls)?;
                let mut server = server.map(|tls| tls.acceptor(connections));
                limit(server.http_builder());
                server.serve(app).await
            }
        }
    }
}

/// Sets the limits for the size and the duration of a request's head.
fn limit(builder: &mut hyper_util::server::conn::auto::Builder<hyper_util::rt::TokioExecutor>) {
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(MAX_HEAD_BYTES);
    let http2_head = u32::try_from(MAX_HEAD_BYTES).unwrap_or(u32::MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(HEAD_TIMEOUT)
        .max_header_list_size(http2_head);
}
