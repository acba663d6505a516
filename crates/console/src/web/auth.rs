//! Who may come in: names that are ours, sessions that hold, requests that come from our own pages, and not too many of them.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};

use tokio::sync::Semaphore;

use super::{Console, Problem};
use crate::people::{Limits, Oidc, Person, Right};
use crate::settings::{ConsoleSettings, SignIn};
use crate::store::StoreError;

/// Longest wait for a request to be sent whole and answered; changes are a stream and go on.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Looks through the events at the same time, at most.
const MAX_THREAD_LOOKUPS: usize = 4;
/// The header that holds [`Person::csrf`].
pub(super) const CSRF: &str = "x-csrf-token";

/// How people come in.
pub struct Auth {
    pub(super) sign_in: SignIn,
    pub(super) oidc: Option<Oidc>,
    pub(super) limits: Limits,
    /// Looks through the events at the same time.
    pub(super) thread_lookups: Semaphore,
    /// Names that the console is reached by, beside those of this machine.
    hosts: Vec<String>,
    proxy: bool,
    secure: bool,
}

impl Auth {
    /// By these settings.
    ///
    /// # Errors
    /// When no client for the identity provider can be made.
    pub fn new(settings: &ConsoleSettings) -> Result<Arc<Self>, String> {
        let oidc = match &settings.sign_in {
            SignIn::Oidc(oidc) => Some(Oidc::new(oidc.clone())?),
            _ => None,
        };
        let host =
            settings.url.as_ref().and_then(|url| url.split_once("://")).map(|(_, host)| host.to_owned());
        Ok(Arc::new(Self {
            sign_in: settings.sign_in.clone(),
            oidc,
            limits: Limits::default(),
            thread_lookups: Semaphore::new(MAX_THREAD_LOOKUPS),
            hosts: host.into_iter().collect(),
            proxy: settings.proxy,
            secure: settings.is_secure(),
        }))
    }

    /// The cookie of a session; where TLS protects it, its name keeps other hosts from setting it.
    pub(super) fn session_cookie_name(&self) -> &'static str {
        if self.secure { "__Host-firewatch" } else { "firewatch" }
    }

    /// A cookie for so long, in seconds; 0 takes it away. It comes along when a link elsewhere leads here, and with no other request
    /// of another site.
    pub(super) fn set_cookie(&self, name: &str, value: &str, secs: i64) -> String {
        let secure = if self.secure { "; Secure" } else { "" };
        format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={secs}{secure}")
    }

    /// From where a request comes.
    pub(super) fn client_address(&self, request: &(impl RequestHead + ?Sized)) -> String {
        let forwarded = request.headers().get("x-forwarded-for").and_then(|list| list.to_str().ok());
        // The last one is the proxy's own word; those before it are the client's.
        let last = forwarded.and_then(|list| list.rsplit(',').next()).filter(|_| self.proxy);
        last.map_or_else(|| request.peer(), |last| last.trim().to_owned())
    }

    fn is_own_host(&self, host: &str) -> bool {
        is_local(host) || self.is_configured_host(host)
    }

    fn is_configured_host(&self, host: &str) -> bool {
        self.hosts.iter().any(|own| own.eq_ignore_ascii_case(host))
    }
}

/// What has headers and comes from somewhere.
pub(super) trait RequestHead {
    fn headers(&self) -> &HeaderMap;
    fn peer(&self) -> String;
}

impl RequestHead for Request {
    fn headers(&self) -> &HeaderMap {
        self.headers()
    }

    fn peer(&self) -> String {
        let peer = self.extensions().get::<ConnectInfo<SocketAddr>>();
        peer.map_or_else(|| "-".into(), |ConnectInfo(peer)| peer.ip().to_string())
    }
}

impl RequestHead for (&HeaderMap, SocketAddr) {
    fn headers(&self) -> &HeaderMap {
        self.0
    }

    fn peer(&self) -> String {
        self.1.ip().to_string()
    }
}

/// From where a request comes; told to what follows.
#[derive(Clone)]
pub(super) struct ClientAddress(pub String);

/// Refuses requests for another name: a stranger's site can make its own name stand for this machine, and its pages would
/// be taken for ours.
pub(super) async fn check_host(State(console): State<Console>, request: Request, next: Next) -> Response {
    let host = host(&request).to_owned();
    if console.auth.is_own_host(&host) {
        return next.run(request).await;
    }
    let problem = format!(
        "{host:?} is not this console; open it by a loopback address, as localhost, or as console.url says"
    );
    Problem(StatusCode::MISDIRECTED_REQUEST, problem).into_response()
}

/// Lets nobody take longer than is sensible.
pub(super) async fn with_timeout(request: Request, next: Next) -> Response {
    match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(answer) => answer,
        Err(_) => {
            Problem(StatusCode::REQUEST_TIMEOUT, "this took too long; try again".into()).into_response()
        }
    }
}

/// Refuses what would change something and does not come from a page of ours.
pub(super) async fn check_origin(State(console): State<Console>, request: Request, next: Next) -> Response {
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let headers = request.headers();
    let origin = text(headers, header::ORIGIN);
    let is_own = match origin.split_once("://") {
        // A proxy may ask by another name than people do; of this machine's names only the one that is asked for is ours.
        Some((_, of)) => console.auth.is_configured_host(of) || (is_local(of) && of == host(&request)),
        None => origin.is_empty(),
    };
    let site = headers.get("sec-fetch-site").and_then(|site| site.to_str().ok()).unwrap_or("same-origin");
    if changes && !(is_own && matches!(site, "same-origin" | "none")) {
        return Problem(StatusCode::FORBIDDEN, "this has to come from a page of this console".into())
            .into_response();
    }
    next.run(request).await
}

/// Lets in whoever is known, and tells what follows who it is.
pub(super) async fn authenticate(
    State(console): State<Console>,
    mut request: Request,
    next: Next,
) -> Response {
    let from = console.auth.client_address(&request);
    request.extensions_mut().insert(ClientAddress(from));
    let path = request.uri().path();
    let is_open = path.starts_with("/assets/")
        || path.starts_with("/sign-in")
        || matches!(path, "/set-up" | "/healthz");
    if is_open {
        return next.run(request).await;
    }
    let person = match session_person(&console, request.headers()).await {
        Ok(Some(person)) => person,
        Ok(None) if path.starts_with("/api/") => {
            return Problem(StatusCode::UNAUTHORIZED, "sign in first".into()).into_response();
        }
        Ok(None) => return Redirect::to(&super::sign_in::sign_in_url(request.uri())).into_response(),
        Err(e) => return Problem::from(e).into_response(),
    };
    if !console.auth.limits.request(&person.name) {
        let problem = "you ask too often; wait a second".to_owned();
        return Problem(StatusCode::TOO_MANY_REQUESTS, problem).into_response();
    }
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
    let sent = request.headers().get(CSRF).map(axum::http::HeaderValue::as_bytes).unwrap_or_default();
    // Forms bear it as a field, which their handlers look at.
    let is_form =
        text(request.headers(), header::CONTENT_TYPE).starts_with("application/x-www-form-urlencoded");
    if changes && !is_form && sent != person.csrf.as_bytes() {
        let problem = format!("the header {CSRF} is missing or not this session's; GET /api/me tells it");
        return Problem(StatusCode::FORBIDDEN, problem).into_response();
    }
    request.extensions_mut().insert(person);
    next.run(request).await
}

async fn session_person(console: &Console, headers: &HeaderMap) -> Result<Option<Person>, StoreError> {
    if console.auth.sign_in == SignIn::Nobody {
        return Ok(Some(Person::at_this_machine()));
    }
    let Some(token) = cookie(headers, console.auth.session_cookie_name()) else { return Ok(None) };
    let agent = text(headers, header::USER_AGENT);
    console.people.session(token, agent, console.now()).await
}

/// The name that is asked for: HTTP/2 tells it beside the path.
fn host(request: &Request) -> &str {
    request.uri().authority().map_or_else(|| text(request.headers(), header::HOST), Authority::as_str)
}

pub(super) fn text(headers: &HeaderMap, name: header::HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|list| list.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

impl Person {
    /// Refuses what the person may not do.
    pub(super) fn require(&self, right: Right) -> Result<(), Problem> {
        if self.may(right) {
            return Ok(());
        }
        let (what, who) = match right {
            Right::View => ("look", "a viewer"),
            Right::Act => ("act on escalations", "a responder"),
            Right::Manage => ("look after people and notifications", "a policy owner"),
            Right::Unredacted => ("see this", "a privacy officer"),
        };
        Err(Problem(StatusCode::FORBIDDEN, format!("you may not {what}; {who} may")))
    }

    /// Refuses a form that is not of the session's own pages.
    pub(super) fn check_csrf(&self, csrf: &str) -> Result<(), Problem> {
        if csrf == self.csrf {
            return Ok(());
        }
        Err(Problem(StatusCode::FORBIDDEN, "this page is of another session; load it again".into()))
    }
}

fn is_local(host: &str) -> bool {
    let is_port = |port: &str| port.parse::<u16>().is_ok();
    let by_name = host == "localhost" || host.strip_prefix("localhost:").is_some_and(is_port);
    let by_address = host.parse().is_ok_and(|address: SocketAddr| address.ip().is_loopback());
    let alone = host.trim_matches(['[', ']']).parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    by_name || by_address || alone
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_ours() {
        for ours in
            ["localhost", "localhost:9465", "127.0.0.1:80", "127.0.0.1", "[::1]:9465", "[::1]", "127.8.8.8"]
        {
            assert!(is_local(ours), "{ours}");
        }
        for other in [
            "",
            "evil.example",
            "localhost.evil.example",
            "10.0.0.1:9465",
            "127.0.0.1.evil.example",
            "localhost:x",
        ] {
            assert!(!is_local(other), "{other}");
        }
    }
}
