//! Requests that the console makes itself: to webhooks and to the identity provider. No redirect is followed, and a webhook leads to no
//! private address unless its settings allow it, whatever its name resolves to: it is the addresses connected to that are looked at.

use firewatch_http::install_tls_provider;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Longest wait for an answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest answer that is read, bytes.
const MAX_RESPONSE_BYTES: usize = 1 << 20;

/// Where requests may lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressScope {
    /// To public addresses.
    Public,
    /// To any.
    Anywhere,
}

/// A client for requests to elsewhere.
#[derive(Clone)]
pub struct OutboundClient {
    client: reqwest::Client,
    scope: AddressScope,
}

/// Why there is no answer.
#[derive(Debug)]
pub struct RequestError(String);

impl std::fmt::Display for RequestError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for RequestError {}

impl OutboundClient {
    /// One that reaches so far.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(scope: AddressScope) -> Result<Self, String> {
        install_tls_provider();
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(REQUEST_TIMEOUT)
            .user_agent(concat!("firewatch/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(Arc::new(GuardedResolver(scope)))
            .build();
        Ok(Self { client: client.map_err(|e| describe_error(&e))?, scope })
    }

    /// Sends a request and reads the answer.
    ///
    /// # Errors
    /// When it may not lead there, or nothing comes back; the error names no more of the URL than its host.
    pub async fn send(&self, request: HttpRequest) -> Result<HttpResponse, RequestError> {
        let host = request.uri().host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        // A host that is an address is not resolved.
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
                return Err(RequestError(format!(
                    "{host} answers with more than {MAX_RESPONSE_BYTES} bytes"
                )));
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
    format!("{host} is a private address; set allow_private = true for this channel if it is meant")
}

/// An error with its causes, without the URL, whose path may be a secret.
fn describe_error(e: &reqwest::Error) -> String {
    let mut words = match e.url().and_then(|url| url.host_str()) {
        Some(host) if e.is_timeout() => format!("{host} does not answer in time"),
        Some(host) => format!("{host} cannot be reached"),
        None => "the request cannot be made".into(),
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

/// Whether an address belongs to the public internet: none of the ranges of IANA's special-purpose registries.
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
    // Addresses that stand for one of the older kind are judged as that.
    let [a, b, .., g, h] = v6.segments();
    let [g, h] = [g, h].map(u16::to_be_bytes);
    let older = Ipv4Addr::new(g[0], g[1], h[0], h[1]);
    if let Some(v4) = v6.to_ipv4_mapped() {
        return is_public_v4(v4);
    }
    match (a, b) {
        (0x64, 0xff9b) => is_public_v4(older),
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
        assert!(silent.accept().is_err(), "somebody connected");
    }
}
