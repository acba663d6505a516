//! Request authentication: checks the host name, the origin, the session, the CSRF token and the rate limits.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};

use firewatch_http::Trust;
use tokio::sync::Semaphore;

use super::audit::{write_denial, write_refusal};
use super::{Console, Problem, second_factor};
use crate::outbound_client::HttpClientError;
use crate::people::{Limits, Oidc, Person, Right};
use crate::percent_encoding::percent_encoded;
use crate::settings::{ConsoleSettings, SecondFactorPolicy, SignIn};
use crate::store::StoreError;

/// Deadline for receiving and answering a request. It ends when the response starts, so the stream of changes
/// is not cut.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum number of concurrent thread lookups.
const MAX_THREAD_LOOKUPS: usize = 4;
/// The header that holds [`Person::csrf`].
pub(super) const CSRF: &str = "x-csrf-token";

/// The sign-in method, the rate limits and the host names of this console.
pub struct Auth {
    pub(super) sign_in: SignIn,
    pub(super) second_factor: SecondFactorPolicy,
    pub(super) oidc: Option<Oidc>,
    pub(super) limits: Limits,
    /// Permits for concurrent thread lookups.
    pub(super) thread_lookups: Arc<Semaphore>,
    /// Host names of the console, in addition to the local ones.
    hosts: Vec<String>,
    proxy: bool,
    secure: bool,
}

impl Auth {
    /// Creates the authentication state from the settings.
    ///
    /// # Errors
    /// When the HTTP client for the identity provider cannot be created.
    pub fn new(settings: &ConsoleSettings) -> Result<Arc<Self>, HttpClientError> {
        let oidc = match &settings.sign_in {
            SignIn::Oidc(oidc) => Some(Oidc::new(oidc.clone())?),
            _ => None,
        };
        let host =
            settings.url.as_ref().and_then(|url| url.split_once("://")).map(|(_, host)| host.to_owned());
        Ok(Arc::new(Self {
            sign_in: settings.sign_in.clone(),
            second_factor: settings.second_factor,
            oidc,
            limits: Limits::default(),
            thread_lookups: Arc::new(Semaphore::new(MAX_THREAD_LOOKUPS)),
            hosts: host.into_iter().collect(),
            proxy: settings.proxy,
            secure: settings.is_secure(),
        }))
    }

    /// Returns the name of the session cookie. Over TLS it has the `__Host-` prefix, which keeps other hosts
    /// from setting it.
    pub(super) fn session_cookie_name(&self) -> &'static str {
        if self.secure { "__Host-firewatch" } else { "firewatch" }
    }

    /// Returns the name of the cookie that ties a sign-in at the identity provider to the browser.
    pub(super) fn sign_in_cookie_name(&self) -> &'static str {
        if self.secure { "__Host-firewatch-sign-in" } else { "firewatch-sign-in" }
    }

    /// Returns the name of the cookie of a sign-in that waits for its code.
    pub(super) fn code_cookie_name(&self) -> &'static str {
        if self.secure { "__Host-firewatch-code" } else { "firewatch-code" }
    }

    /// Returns a `Set-Cookie` value that lasts `secs` seconds; 0 deletes the cookie. `SameSite=Lax`: browsers
    /// send it when a link on another site leads here, but with no other cross-site request.
    pub(super) fn set_cookie(&self, name: &str, value: &str, secs: i64) -> String {
        let secure = if self.secure { "; Secure" } else { "" };
        format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={secs}{secure}")
    }

    /// Returns the client's address: the peer's, or behind a proxy the last entry of `x-forwarded-for`.
    pub(super) fn client_address(&self, request: &(impl RequestHead + ?Sized)) -> String {
        let forwarded = request.headers().get_all("x-forwarded-for").into_iter().next_back();
        // The proxy wrote the last entry of the last line; the client could forge the ones before it.
        let last = forwarded.and_then(|list| list.to_str().ok()?.rsplit(',').next());
        let last = last.filter(|_| self.proxy).and_then(|last| last.trim().parse::<IpAddr>().ok());
        last.map_or_else(|| request.peer(), |last| last.to_string())
    }

    fn is_own_host(&self, host: &str) -> bool {
        is_local(host) || self.is_configured_host(host)
    }

    fn is_configured_host(&self, host: &str) -> bool {
        self.hosts.iter().any(|own| own.eq_ignore_ascii_case(host))
    }
}

/// The headers and the peer address of a request.
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

/// The client's address, passed to the handlers as an extension.
#[derive(Clone)]
pub(super) struct ClientAddress(pub String);

/// Refuses requests for an unknown host name. This prevents DNS rebinding, by which another site's name
/// resolves to this machine and its pages count as same-origin.
pub(super) async fn check_host(State(console): State<Console>, request: Request, next: Next) -> Response {
    let host = host(&request).to_owned();
    if console.auth.is_own_host(&host) {
        return next.run(request).await;
    }
    let problem =
        format!("{host:?}: unknown host; open the console at localhost, a loopback address or console.url");
    Problem(StatusCode::MISDIRECTED_REQUEST, problem).into_response()
}

/// Answers with 408 when a request takes longer than [`REQUEST_TIMEOUT`].
pub(super) async fn with_timeout(request: Request, next: Next) -> Response {
    match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(answer) => answer,
        Err(_) => {
            Problem(StatusCode::REQUEST_TIMEOUT, "the request timed out; try again".into()).into_response()
        }
    }
}

/// Refuses requests that change something and come from another site's page.
pub(super) async fn check_origin(State(console): State<Console>, request: Request, next: Next) -> Response {
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let headers = request.headers();
    let origin = text(headers, header::ORIGIN);
    let is_own = match origin.split_once("://") {
        // Behind a proxy, `Host` can differ from the name that people use, so the configured name always
        // counts. A local name counts only if it is the requested host.
        Some((scheme, origin_host)) => {
            (console.auth.is_configured_host(origin_host) && (scheme == "https" || !console.auth.secure))
                || (is_local(origin_host) && origin_host == host(&request))
        }
        None => origin.is_empty(),
    };
    let site = headers.get("sec-fetch-site").and_then(|site| site.to_str().ok()).unwrap_or("same-origin");
    if changes && !(is_own && matches!(site, "same-origin" | "none")) {
        let from = console.auth.client_address(&request);
        let why = format!("a request from another site to {}", request.uri().path());
        let why: String = why.chars().take(120).collect();
        if let Err(e) = write_refusal(&console, "-", &from, &why).await {
            return e.into_response();
        }
        return Problem(StatusCode::FORBIDDEN, "cross-site request; send it from the console's pages".into())
            .into_response();
    }
    next.run(request).await
}

/// Requires a session outside the public paths, and passes the [`Person`] to the handlers as an extension.
pub(super) async fn authenticate(
    State(console): State<Console>,
    mut request: Request,
    next: Next,
) -> Response {
    let from = console.auth.client_address(&request);
    request.extensions_mut().insert(ClientAddress(from.clone()));
    let path = request.uri().path();
    let is_open = path.starts_with("/assets/")
        || path.starts_with("/sign-in")
        || matches!(path, "/set-up" | "/set-up/open" | "/healthz");
    if is_open {
        return next.run(request).await;
    }
    let person = match session_person(&console, request.headers(), &from).await {
        Ok(Some(person)) => person,
        Ok(None) if path.starts_with("/api/") => {
            return Problem(StatusCode::UNAUTHORIZED, "sign in first".into()).into_response();
        }
        Ok(None) => return Redirect::to(&sign_in_url(request.uri())).into_response(),
        Err(e) => return Problem::from(e).into_response(),
    };
    if !console.auth.limits.request(&person.name) {
        let problem = "too many requests; wait a second".to_owned();
        return Problem(StatusCode::TOO_MANY_REQUESTS, problem).into_response();
    }
    let is_api = path.starts_with("/api/");
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
    let sent = request.headers().get(CSRF).map(axum::http::HeaderValue::as_bytes).unwrap_or_default();
    // Forms carry the token as a field, which their handlers check.
    let is_form = !is_api
        && text(request.headers(), header::CONTENT_TYPE).starts_with("application/x-www-form-urlencoded");
    if changes && !is_form && sent != person.csrf.as_bytes() {
        let problem = format!("the header {CSRF} is missing or of another session; read it from GET /api/me");
        if let Err(e) = write_denial(&console, &person.name, &from, request.method(), path).await {
            return e.into_response();
        }
        return Problem(StatusCode::FORBIDDEN, problem).into_response();
    }
    if let Some(connection) = request.extensions().get::<Trust>() {
        connection.vouch();
    }
    match second_factor::refuse_before_enrolment(&console, &person, request.uri().path()).await {
        Ok(None) => {}
        Ok(Some(refusal)) => return refusal,
        Err(e) => return Problem::from(e).into_response(),
    }
    let (name, method, path) = (person.name.clone(), request.method().clone(), path.to_owned());
    request.extensions_mut().insert(person);
    let response = next.run(request).await;
    if response.status() == StatusCode::FORBIDDEN
        && let Err(e) = write_denial(&console, &name, &from, &method, &path).await
    {
        return e.into_response();
    }
    response
}

async fn session_person(
    console: &Console,
    headers: &HeaderMap,
    from: &str,
) -> Result<Option<Person>, StoreError> {
    if console.auth.sign_in == SignIn::Nobody {
        return Ok(Some(Person::at_this_machine()));
    }
    let Some(token) = cookie(headers, console.auth.session_cookie_name()) else { return Ok(None) };
    // A session belongs to the user agent that began it: a stolen cookie that another browser sends ends the
    // session and is audited.
    let agent = text(headers, header::USER_AGENT);
    console.people.session(token, agent, from, console.now()).await
}

/// Returns whether the session of a request still holds. Unlike a request, this does not prolong it.
pub(super) async fn holds_session(console: &Console, headers: &HeaderMap) -> Result<bool, StoreError> {
    if console.auth.sign_in == SignIn::Nobody {
        return Ok(true);
    }
    match cookie(headers, console.auth.session_cookie_name()) {
        Some(token) => console.people.holds_session(token, console.now()).await,
        None => Ok(false),
    }
}

/// Returns the requested host: HTTP/2 has it in the URI, HTTP/1.1 in the `Host` header.
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
    /// Returns a 403 problem if no role of the person grants the right.
    pub(super) fn require(&self, right: Right) -> Result<(), Problem> {
        if self.may(right) {
            return Ok(());
        }
        // `who` is a role that grants the right, the least powerful one; it must agree with `Person::may`.
        let (what, who) = match right {
            Right::View => ("view the console", "viewer"),
            Right::Act => ("act on escalations", "responder"),
            Right::Manage => ("manage people and notifications", "policy owner"),
            Right::Unredacted => ("see unredacted text or the audit trail", "privacy officer"),
        };
        Err(Problem(StatusCode::FORBIDDEN, format!("you may not {what}; the role {who} may")))
    }

    /// Returns a 403 problem if a form's CSRF token is not the session's.
    pub(super) fn check_csrf(&self, csrf: &str) -> Result<(), Problem> {
        if csrf == self.csrf {
            return Ok(());
        }
        Err(Problem(StatusCode::FORBIDDEN, "this page belongs to another session; reload it".into()))
    }
}

fn is_local(host: &str) -> bool {
    let is_port = |port: &str| port.parse::<u16>().is_ok();
    let by_name = host == "localhost" || host.strip_prefix("localhost:").is_some_and(is_port);
    let by_address = host.parse().is_ok_and(|address: SocketAddr| address.ip().is_loopback());
    let bare_ip = host.trim_matches(['[', ']']).parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    by_name || by_address || bare_ip
}

/// Returns the URL of the sign-in page that leads back to the wanted page.
pub(super) fn sign_in_url(wanted: &Uri) -> String {
    let path = wanted.path_and_query().map_or("/", |path| path.as_str());
    format!("/sign-in?to={}", percent_encoded(path, b"/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_in_leads_back_to_the_wanted_page() {
        let wanted: Uri = "/?team=pr&text=a%20b".parse().unwrap();
        assert_eq!(sign_in_url(&wanted), "/sign-in?to=/%3Fteam%3Dpr%26text%3Da%2520b");
    }

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
