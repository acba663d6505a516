//! A client for the parts of Confluent's schema registry API that firewatch uses.
//!
//! firewatch has its own client because the cause of a failure matters: an absent schema is the record's
//! fault, an unavailable registry is waited for, and a refusal is a fault of the settings. The usual client
//! reports all three as text only.

use std::fmt;
use std::io::Read as _;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use firewatch_wire::Language;
use reqwest::blocking::{Client, RequestBuilder, Response};
use reqwest::{Certificate, StatusCode, Url};
use serde::Deserialize;
use serde_json::json;
use thiserror::Error;

/// Longest wait for the registry's answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum size of an answer.
const MAX_ANSWER_BYTES: usize = 8 << 20;
/// References of one schema at most, including indirect ones.
const MAX_REFERENCES: usize = 100;
/// Media type of requests and answers.
const MEDIA_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// How to reach a registry.
#[derive(Clone, Default)]
pub struct RegistrySettings {
    /// Addresses of the same registry, tried in order until one answers.
    pub urls: Vec<Url>,
    /// User name and password for HTTP basic authentication.
    pub user: Option<(String, String)>,
    /// Bearer token, in place of user name and password.
    pub token: Option<String>,
    /// Certificates to trust in addition to the system's, PEM.
    pub ca: Option<Vec<u8>>,
    /// Whether firewatch may register its schemas; if not, they must be registered already.
    pub register: bool,
}

impl fmt::Debug for RegistrySettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let urls: Vec<&str> = self.urls.iter().map(Url::as_str).collect();
        f.debug_struct("RegistrySettings").field("urls", &urls).finish_non_exhaustive()
    }
}

/// What an address of a registry must look like.
const URL_REMEDY: &str = "give one such as https://registry.example.org:8081";

/// Why an address of a registry is refused.
#[derive(Debug, Error)]
pub enum RegistryUrlError {
    /// The text is not a URL.
    #[error("is not a URL: {0}; {URL_REMEDY}")]
    Syntax(#[source] <Url as FromStr>::Err),
    /// The URL has no host.
    #[error("has no host; {URL_REMEDY}")]
    NoHost,
    /// The URL contains a user name or password.
    #[error("contains a user name or password; set registry.user and registry.password")]
    Credentials,
    /// A secret would be sent unencrypted to another machine.
    #[error("would send a password or token unencrypted; give an https:// address")]
    Unencrypted,
    /// The URL is of another scheme than HTTP: its scheme.
    #[error("`{0}` is not allowed; {URL_REMEDY}")]
    Scheme(String),
}

/// Parses an address of a registry. `is_secret` says whether requests will carry a password or token.
///
/// # Errors
/// When the text is not an HTTP URL, contains a user name or password, or would send a secret unencrypted to
/// another machine.
pub fn registry_url(text: &str, is_secret: bool) -> Result<Url, RegistryUrlError> {
    let url = Url::parse(text).map_err(RegistryUrlError::Syntax)?;
    let is_near = match url.host_str() {
        None => return Err(RegistryUrlError::NoHost),
        Some("localhost") => true,
        Some(host) => {
            host.trim_matches(['[', ']']).parse().is_ok_and(|address: IpAddr| address.is_loopback())
        }
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(RegistryUrlError::Credentials);
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_near || !is_secret => Ok(url),
        "http" => Err(RegistryUrlError::Unencrypted),
        other => Err(RegistryUrlError::Scheme(other.to_owned())),
    }
}

/// Why a schema could not be fetched or registered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RegistryError {
    /// The registry has no schema under this id or name.
    NotFound,
    /// The registry does not answer, or cannot answer now; a retry may succeed.
    Unavailable(String),
    /// The registry does not understand the request: it is none, or the request is about something that cannot exist.
    BadRequest(String),
    /// The registry refuses every request with these settings; a retry cannot succeed.
    Refused(String),
}

/// A schema as a registry returns it, with the schemas that it references, by name.
#[derive(Debug)]
pub(crate) struct RegisteredSchema {
    pub language: Option<Language>,
    pub text: String,
    pub references: Vec<(String, String)>,
}

/// A client of one registry. Clones share its connections.
#[derive(Clone)]
pub(crate) struct SchemaRegistry {
    settings: RegistrySettings,
    client: Client,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SchemaResponse {
    schema: String,
    schema_type: Option<String>,
    #[serde(default)]
    references: Vec<Reference>,
}

#[derive(Deserialize)]
struct Reference {
    name: String,
    subject: String,
    version: u32,
}

#[derive(Deserialize)]
struct SchemaIdResponse {
    id: u32,
}

/// The registry's description of an error.
#[derive(Deserialize, Default)]
#[serde(default)]
struct ErrorResponse {
    error_code: Option<u32>,
    message: String,
}

impl SchemaRegistry {
    pub fn new(settings: &RegistrySettings) -> Result<Self, RegistryError> {
        // Fails when the process has a provider already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let refused = |e: reqwest::Error| RegistryError::Refused(format!("registry.ca: {e}"));
        let mut builder =
            Client::builder().timeout(REQUEST_TIMEOUT).redirect(reqwest::redirect::Policy::none());
        if let Some(pem) = &settings.ca {
            let trusted = Certificate::from_pem_bundle(pem).map_err(refused)?;
            builder = builder.tls_certs_merge(trusted);
        }
        Ok(Self { settings: settings.clone(), client: builder.build().map_err(refused)? })
    }

    /// Returns the schema with an id, including the schemas that it references.
    pub fn schema(&self, id: u32) -> Result<RegisteredSchema, RegistryError> {
        let answer: SchemaResponse = self.get(&["schemas", "ids", &id.to_string()])?;
        let mut references = Vec::new();
        self.resolve_references(answer.references, &mut references)?;
        let language = Language::from_name(answer.schema_type.as_deref());
        Ok(RegisteredSchema { language, text: answer.schema, references })
    }

    /// Returns whether there is a schema registry at the address.
    pub fn is_registry(&self) -> Result<bool, RegistryError> {
        match self.get::<Vec<String>>(&["schemas", "types"]) {
            Ok(_) => Ok(true),
            Err(RegistryError::Unavailable(problem)) => Err(RegistryError::Unavailable(problem)),
            Err(_) => Ok(false),
        }
    }

    /// Adds the referenced schemas to `found`, including indirect ones.
    fn resolve_references(
        &self,
        wanted: Vec<Reference>,
        found: &mut Vec<(String, String)>,
    ) -> Result<(), RegistryError> {
        for reference in wanted {
            if found.iter().any(|(name, _)| *name == reference.name) {
                continue;
            }
            if found.len() >= MAX_REFERENCES {
                return Err(RegistryError::NotFound);
            }
            let version = reference.version.to_string();
            let answer: SchemaResponse = self.get(&["subjects", &reference.subject, "versions", &version])?;
            found.push((reference.name, answer.schema));
            self.resolve_references(answer.references, found)?;
        }
        Ok(())
    }

    /// Returns the id of a schema under a subject. Registers the schema first if it is absent and the
    /// settings allow that.
    pub fn schema_id(&self, subject: &str, language: Language, text: &str) -> Result<u32, RegistryError> {
        let path: &[&str] = match self.settings.register {
            true => &["subjects", subject, "versions"],
            false => &["subjects", subject],
        };
        let body = json!({ "schema": text, "schemaType": language.name() }).to_string();
        let found: Result<SchemaIdResponse, RegistryError> = self.request_any(path, |client, url| {
            client.post(url).header("content-type", MEDIA_TYPE).body(body.clone())
        });
        match found {
            Ok(SchemaIdResponse { id }) => Ok(id),
            Err(RegistryError::NotFound) => Err(RegistryError::Refused(format!(
                "it does not have the schema of {subject}; register what `firewatch schema` prints, \
                 or set registry.register = true"
            ))),
            Err(RegistryError::BadRequest(problem) | RegistryError::Refused(problem)) => {
                Err(RegistryError::Refused(format!("it refuses the schema of {subject}: {problem}")))
            }
            Err(away) => Err(away),
        }
    }

    fn get<T: for<'de> Deserialize<'de>>(&self, path: &[&str]) -> Result<T, RegistryError> {
        self.request_any(path, Client::get)
    }

    /// Sends a request to one address after another, until one is available.
    fn request_any<T: for<'de> Deserialize<'de>>(
        &self,
        path: &[&str],
        request: impl Fn(&Client, Url) -> RequestBuilder,
    ) -> Result<T, RegistryError> {
        let mut away = RegistryError::Refused("registry.url: is missing".into());
        for base in &self.settings.urls {
            let mut url = base.clone();
            if let Ok(mut segments) = url.path_segments_mut() {
                segments.pop_if_empty().extend(path);
            }
            match self.send(request(&self.client, url)) {
                Err(RegistryError::Unavailable(problem)) => away = RegistryError::Unavailable(problem),
                done => return done,
            }
        }
        Err(away)
    }

    fn send<T: for<'de> Deserialize<'de>>(&self, request: RequestBuilder) -> Result<T, RegistryError> {
        let request = request.header("accept", MEDIA_TYPE);
        let request = match (&self.settings.user, &self.settings.token) {
            (Some((name, password)), _) => request.basic_auth(name, Some(password)),
            (None, Some(token)) => request.bearer_auth(token),
            (None, None) => request,
        };
        let answer = request.send().map_err(|e| RegistryError::Unavailable(describe_error(&e)))?;
        let status = answer.status();
        if status.is_success() {
            let no_api = |e: serde_json::Error| {
                RegistryError::Refused(format!("its answer is not that of a schema registry: {e}"))
            };
            return serde_json::from_slice(&read_answer(answer)?).map_err(no_api);
        }
        let ErrorResponse { error_code, message } =
            serde_json::from_slice(&read_answer(answer)?).unwrap_or_default();
        Err(match (status, error_code) {
            (StatusCode::NOT_FOUND, Some(40401..=40403)) => RegistryError::NotFound,
            (StatusCode::NOT_FOUND, _) => {
                RegistryError::BadRequest(format!("{status}; check that registry.url is the root of its API"))
            }
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => {
                RegistryError::Refused(format!("{status}; check registry.user and password, or token"))
            }
            (StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS, _) => {
                RegistryError::Unavailable(status.to_string())
            }
            _ if status.is_server_error() => RegistryError::Unavailable(format!("{status} {message}")),
            _ => RegistryError::BadRequest(format!("{status} {message}")),
        })
    }
}

/// Reads an answer of at most [`MAX_ANSWER_BYTES`].
fn read_answer(answer: Response) -> Result<Vec<u8>, RegistryError> {
    let mut read = Vec::new();
    let limit = MAX_ANSWER_BYTES as u64 + 1;
    answer.take(limit).read_to_end(&mut read).map_err(|e| RegistryError::Unavailable(e.to_string()))?;
    if read.len() > MAX_ANSWER_BYTES {
        return Err(RegistryError::BadRequest(format!("its answer has over {MAX_ANSWER_BYTES} bytes")));
    }
    Ok(read)
}

/// Returns the innermost cause of an error as text. The outer message is a last resort, because it contains
/// the URL, which may hold a secret.
fn describe_error(e: &reqwest::Error) -> String {
    let mut words = Vec::new();
    let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(e);
    while let Some(e) = cause {
        words.push(e.to_string());
        cause = e.source();
    }
    words.pop().unwrap_or_else(|| e.to_string())
}
