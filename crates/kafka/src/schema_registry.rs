//! The requests that are made of a schema registry, of those that Confluent's API has.
//!
//! Our own, as it matters why an answer is no schema: one that is not there is the record's fault, a registry that is away is
//! waited for, and one that refuses us is a fault of the settings. The usual client tells them in words only.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use firewatch_wire::Language;
use reqwest::blocking::{Client, RequestBuilder};
use reqwest::{Certificate, StatusCode, Url};
use serde::Deserialize;
use serde_json::json;

/// Longest wait for an answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Schemas that one may refer to, with those that they refer to.
const MAX_REFERENCES: usize = 100;
/// What is sent and asked for.
const MEDIA_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// How to reach a registry.
#[derive(Clone, Default)]
pub struct RegistrySettings {
    /// Addresses of the same registry; the first that answers is asked.
    pub urls: Vec<Url>,
    /// Name and password for HTTP's basic authentication.
    pub user: Option<(String, String)>,
    /// A bearer token, instead.
    pub token: Option<String>,
    /// Certificates that are trusted besides the machine's, PEM.
    pub ca: Option<Vec<u8>>,
    /// Whether our schemas may be added to it; else they have to be there.
    pub register: bool,
}

impl fmt::Debug for RegistrySettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let urls: Vec<&str> = self.urls.iter().map(Url::as_str).collect();
        f.debug_struct("RegistrySettings").field("urls", &urls).finish_non_exhaustive()
    }
}

/// An address of a registry.
///
/// # Errors
/// When it is none, holds a name or password, or would have what `is_secret` sent in the clear to another machine.
pub fn registry_url(text: &str, is_secret: bool) -> Result<Url, String> {
    let give = "give one such as https://registry.example.org:8081";
    let url = Url::parse(text).map_err(|e| format!("is no address: {e}; {give}"))?;
    let is_near = match url.host_str() {
        None => return Err(format!("has no host; {give}")),
        Some("localhost") => true,
        Some(host) => {
            host.trim_matches(['[', ']']).parse().is_ok_and(|address: IpAddr| address.is_loopback())
        }
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds a name or password; give registry.user and registry.password".into());
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_near || !is_secret => Ok(url),
        "http" => Err("would send a password or token in the clear; give an https:// address".into()),
        other => Err(format!("`{other}` is not allowed; {give}")),
    }
}

/// Why there is no schema.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RegistryError {
    /// The registry has none under this id or name.
    NotFound,
    /// It does not answer, or not now.
    Unavailable(String),
    /// It does not take what we are or send; that will not change by itself.
    Refused(String),
}

/// A schema as a registry tells it, and those it refers to, by the names it knows them under.
#[derive(Debug)]
pub(crate) struct RegisteredSchema {
    pub language: Option<Language>,
    pub text: String,
    pub references: Vec<(String, String)>,
}

/// A client.
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

/// What goes wrong, in the registry's words.
#[derive(Deserialize, Default)]
#[serde(default)]
struct ErrorResponse {
    error_code: Option<u32>,
    message: String,
}

impl SchemaRegistry {
    pub fn new(settings: &RegistrySettings) -> Result<Self, RegistryError> {
        // It is there already when something else of the process uses TLS.
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

    /// The schema with an id.
    pub fn schema(&self, id: u32) -> Result<RegisteredSchema, RegistryError> {
        let answer: SchemaResponse = self.get(&["schemas", "ids", &id.to_string()])?;
        let mut references = Vec::new();
        self.resolve_references(answer.references, &mut references)?;
        let language = Language::from_name(answer.schema_type.as_deref());
        Ok(RegisteredSchema { language, text: answer.schema, references })
    }

    /// Adds the schemas referred to, and those that they refer to.
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

    /// The id of a schema under a subject, which is added when it is not there and may be.
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
                "it has not the schema under {subject}; add what `firewatch schema` prints, or set registry.register = true"
            ))),
            Err(RegistryError::Refused(problem)) => {
                Err(RegistryError::Refused(format!("it does not take the schema under {subject}: {problem}")))
            }
            Err(away) => Err(away),
        }
    }

    fn get<T: for<'de> Deserialize<'de>>(&self, path: &[&str]) -> Result<T, RegistryError> {
        self.request_any(path, Client::get)
    }

    /// Asks one address after the other, as long as they are away.
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
            let no_api =
                |e| RegistryError::Refused(format!("its answer is not a registry's: {}", describe_error(&e)));
            return answer.json().map_err(no_api);
        }
        let ErrorResponse { error_code, message } = answer.json().unwrap_or_default();
        Err(match (status, error_code) {
            (StatusCode::NOT_FOUND, Some(40401..=40403)) => RegistryError::NotFound,
            (StatusCode::NOT_FOUND, _) => {
                RegistryError::Refused(format!("{status}; is registry.url where its API begins?"))
            }
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => {
                RegistryError::Refused(format!("{status}; check registry.user and password, or token"))
            }
            (StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS, _) => {
                RegistryError::Unavailable(status.to_string())
            }
            _ if status.is_server_error() => RegistryError::Unavailable(format!("{status} {message}")),
            _ => RegistryError::Refused(format!("{status} {message}")),
        })
    }
}

/// An error with its causes, and without the address, which may hold what is nobody's business.
fn describe_error(e: &reqwest::Error) -> String {
    let mut words = Vec::new();
    let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(e);
    while let Some(e) = cause {
        words.push(e.to_string());
        cause = e.source();
    }
    words.pop().unwrap_or_else(|| e.to_string())
}
