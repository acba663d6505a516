//! The HTTP client for outgoing requests: to webhooks and to the identity provider.
//!
//! It follows no redirects. Webhooks may not reach private addresses unless their settings allow it; the
//! check is on the resolved addresses, so a host name cannot bypass it.

use firewatch_http::install_tls_provider;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use thiserror::Error;

/// Timeout of a request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum size of a response body, in bytes.
const MAX_RESPONSE_BYTES: usize = 1 << 20;

/// The addresses that requests may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressScope {
    /// Public addresses only.
    Public,
    /// Any address.
    Anywhere,
}

/// An HTTP client that is limited to an [`AddressScope`].
#[derive(Clone)]
pub struct OutboundClient {
    client: reqwest::Client,
    scope: AddressScope,
}

/// The HTTP client cannot be created, for example because TLS cannot be set up.
#[derive(Debug, Error)]
#[error("{}", describe_error(.0))]
pub struct HttpClientError(#[source] reqwest::Error);

/// Why a request got no response. Never contains the URL's path, which may be a secret.
#[derive(Debug)]
pub struct RequestError(String);

impl std::fmt::Display for RequestError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for RequestError {}

impl OutboundClient {
    /// Creates a client for addresses within `scope`.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(scope: AddressScope) -> Result<Self, HttpClientError> {
        install_tls_provider();
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(REQUEST_TIMEOUT)
            .user_agent(concat!("firewatch/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(Arc::new(GuardedResolver(scope)))
            .build();
        Ok(Self { client: client.map_err(HttpClientError)?, scope })
    }

    /// Sends a request and reads the response, of any status.
    ///
    /// # Errors
    /// When the address is out of scope, or no complete response arrives. The error names only the URL's
    /// host.
    pub async fn send(&self, request: HttpRequest) -> Result<HttpResponse, RequestError> {
        let host = request.uri().host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        // A literal address is not resolved, so it is checked here.
        if let Ok(address) = host.parse::<IpAddr>()
            && self.scope == AddressScope::Public
            && !is_public(address)
        {
            return Err(RequestError(private_address_error(&host)));
        }
        let request = request.try_into().map_err(|e: reqwest::Error| RequestError(describe_error(&e)))?;
        let mut answer = self.client.execute(request).await.map_err(|e| RequestError(describe_error(&e)))?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|e| RequestError(describe_error(&e)))? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_RESPONSE_BYTES {
                return Err(RequestError(format!("{host}: response larger than {MAX_RESPONSE_BYTES} bytes")));
            }
        }
        let mut response = HttpResponse::new(body);
        *response.status_mut() = answer.status();
        *response.headers_mut() = answer.headers().clone();
        Ok(response)
    }
}

impl<'c> AsyncHttpClient<'c> for OutboundClient {
    type Error = RequestError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, RequestError>> + Send + Sync + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}

fn private_address_error(host: &str) -> String {
    format!("{host} is a private address; set allow_private = true for this channel to allow it")
}

/// Formats an error with its causes, but without the URL, whose path may be a secret.
fn describe_error(e: &reqwest::Error) -> String {
    let mut words = match e.url().and_then(|url| url.host_str()) {
        Some(host) if e.is_timeout() => format!("{host}: timed out"),
        Some(host) => format!("{host}: request failed"),
        None => "invalid request".into(),
    };
    let mut cause = std::error::Error::source(e);
    while let Some(next) = cause {
        words = format!("{words}: {next}");
        cause = next.source();
    }
    words
}

struct GuardedResolver(AddressScope);

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (host, scope) = (name.as_str().to_owned(), self.0);
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            if scope == AddressScope::Public && found.iter().any(|address| !is_public(address.ip())) {
                return Err(private_address_error(&host).into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// Returns whether an address is on the public internet, that is outside IANA's special-purpose ranges.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(v4: Ipv4Addr) -> bool {
    let [a, b, c, _] = v4.octets();
    let shared = a == 100 && (64..128).contains(&b);
    let benchmarks = a == 198 && (b == 18 || b == 19);
    let protocols = a == 192 && b == 0 && c == 0;
    let relays = a == 192 && b == 88 && c == 99;
    let not_global = v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_documentation();
    !(a == 0 || a >= 224 || not_global || shared || benchmarks || protocols || relays)
}

fn is_public_v6(v6: Ipv6Addr) -> bool {
    // An IPv6 address that embeds an IPv4 address is judged by the latter. The prefix for translation within a network
    // (RFC 8215) embeds it elsewhere, and is of that network only.
    let [a, b, c, d, e, f, g, h] = v6.segments();
    let [g, h] = [g, h].map(u16::to_be_bytes);
    let older = Ipv4Addr::new(g[0], g[1], h[0], h[1]);
    if let Some(v4) = v6.to_ipv4_mapped() {
        return is_public_v4(v4);
    }
    match (a, b) {
        (0x64, 0xff9b) => [c, d, e, f] == [0; 4] && is_public_v4(older),
        // Global unicast, but not documentation, Teredo, ORCHID or 6to4.
        (0x2000..=0x3ffe, _) => !(a == 0x2001 && (b < 0x200 || b == 0xdb8) || a == 0x2002),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_public_internet_is_public() {
        for inside in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "192.0.0.8",
            "192.168.1.1",
            "198.18.0.1",
            "203.0.113.9",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1:808:8:800::",
            "64:ff9b:1::808:808",
            "2001:db8::1",
            "2002:7f00:1::",
            "::127.0.0.1",
        ] {
            assert!(!is_public(inside.parse().unwrap()), "{inside}");
        }
        for outside in [
            "8.8.8.8",
            "1.1.1.1",
            "100.128.0.1",
            "172.32.0.1",
            "2606:4700::1111",
            "2a00:1450::1",
            "64:ff9b::808:808",
        ] {
            assert!(is_public(outside.parse().unwrap()), "{outside}");
        }
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_is_refused_like_its_address() {
        let outbound = OutboundClient::new(AddressScope::Public).unwrap();
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = silent.local_addr().unwrap().port();
        for host in ["localhost", "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]"] {
            let mut request = HttpRequest::new(Vec::new());
            *request.uri_mut() = format!("http://{host}:{port}/hook").parse().unwrap();
            let refused = outbound.send(request).await.unwrap_err().to_string();
            assert!(refused.contains("is a private address; set allow_private"), "{refused}");
            assert!(!refused.contains("/hook"), "{refused}");
        }
        silent.set_nonblocking(true).unwrap();
        assert!(silent.accept().is_err(), "a connection was made");
    }
}
