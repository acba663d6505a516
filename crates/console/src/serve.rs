//! Listening: with TLS or without, and for no client that is too slow.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use axum::Router;
use axum_server::tls_rustls::RustlsConfig;
use hyper_util::rt::TokioTimer;

use crate::outbound::use_ring;

/// Longest wait for a request's head, and for a handshake.
const HEAD: Duration = Duration::from_secs(10);
/// Largest head of a request, bytes.
const MOST_HEAD: usize = 32 << 10;

/// An address that is listened at.
pub struct Listening {
    listener: TcpListener,
    tls: Option<RustlsConfig>,
    /// The address.
    pub at: SocketAddr,
}

/// Begins to listen at an address, with the files of a certificate and its key over TLS.
///
/// # Errors
/// When the address is taken, or the certificate cannot be read: `listen` or `tls`, and why.
pub async fn listen(
    address: SocketAddr,
    tls: Option<&(PathBuf, PathBuf)>,
) -> Result<Listening, (&'static str, String)> {
    let fault = |e: std::io::Error| ("listen", format!("{address}: {e}"));
    let listener = TcpListener::bind(address).map_err(fault)?;
    listener.set_nonblocking(true).map_err(fault)?;
    let at = listener.local_addr().map_err(fault)?;
    let tls = match tls {
        None => None,
        Some((certificate, key)) => {
            use_ring();
            let read = RustlsConfig::from_pem_file(certificate, key).await;
            let names = format!("{} and {}", certificate.display(), key.display());
            Some(read.map_err(|e| ("tls", format!("{names}: {e}")))?)
        }
    };
    Ok(Listening { listener, tls, at })
}

impl Listening {
    /// Serves until the process ends.
    ///
    /// # Errors
    /// When the listener breaks.
    pub async fn serve(self, routes: Router) -> std::io::Result<()> {
        let app = routes.into_make_service_with_connect_info::<SocketAddr>();
        match self.tls {
            None => {
                let mut server = axum_server::from_tcp(self.listener)?.http1_only();
                careful(server.http_builder());
                server.serve(app).await
            }
            Some(tls) => {
                // Over TLS browsers speak HTTP/2, and all pages of one share a connection.
                let mut server = axum_server::from_tcp_rustls(self.listener, tls)?;
                careful(server.http_builder());
                server.serve(app).await
            }
        }
    }
}

fn careful(builder: &mut hyper_util::server::conn::auto::Builder<hyper_util::rt::TokioExecutor>) {
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(MOST_HEAD);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(HEAD).max_header_list_size(MOST_HEAD as u32);
}
