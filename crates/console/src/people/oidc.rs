//! Sign-in by an identity provider: OpenID Connect, authorization code flow with PKCE.
//!
//! The provider's token holds a person's name and groups; the settings map groups to roles. The provider's
//! configuration and keys are fetched for each sign-in, so the keys can rotate at any time.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use firewatch_domain::{Duration, EventTime};
use openidconnect::core::{CoreClient, CoreProviderMetadata, CoreRequestTokenError, CoreResponseType};
use openidconnect::url::ParseError;
use openidconnect::{
    AuthenticationFlow, AuthorizationCode, ClaimsVerificationError, ClientId, ClientSecret,
    ConfigurationError, CsrfToken, DiscoveryError, IssuerUrl, Nonce, PkceCodeChallenge, PkceCodeVerifier,
    RedirectUrl, Scope, TokenResponse,
};
use serde_json::Value;
use thiserror::Error;

use super::{People, Role, hash};
use crate::error::StoreError;
use crate::outbound_client::{AddressScope, HttpClientError, OutboundClient, RequestError};

/// Time within which a started sign-in must be finished.
const SIGN_IN_TIMEOUT: Duration = Duration::from_mins(10);

/// The settings of the identity provider, and the roles of its groups.
#[derive(Clone, PartialEq, Eq)]
pub struct OidcSettings {
    /// Issuer URL of the provider.
    pub issuer: String,
    /// Client id of this console at the provider.
    pub client_id: String,
    /// Client secret; empty for a public client.
    pub client_secret: String,
    /// URL to which the provider redirects browsers.
    pub redirect_url: String,
    /// Name of the claim that holds the groups.
    pub claim: String,
    /// Scopes to request in addition to `openid`.
    pub scopes: Vec<String>,
    /// Groups that have each role.
    pub groups: Vec<(Role, Vec<String>)>,
}

impl std::fmt::Debug for OidcSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The client secret must not be printed.
        write!(f, "{} as {}", self.issuer, self.client_id)
    }
}

/// Signs people in with an identity provider.
pub struct Oidc {
    settings: OidcSettings,
    outbound: OutboundClient,
}

/// Why a sign-in with the identity provider failed.
#[derive(Debug, Error)]
pub enum OidcError {
    /// The issuer or the redirect URL of the settings is not a URL.
    #[error(transparent)]
    Url(#[from] ParseError),
    /// The provider's configuration cannot be read.
    #[error("cannot read the identity provider's configuration: {0}")]
    Discovery(#[source] Box<DiscoveryError<RequestError>>),
    /// The provider's configuration lacks an endpoint.
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The state is unknown or has expired.
    #[error("this sign-in expired or was already used; start again")]
    Expired,
    /// The provider gave no token for the code.
    #[error("the identity provider rejected the code: {0}")]
    Code(#[source] Box<CoreRequestTokenError<RequestError>>),
    /// The provider's response has no ID token.
    #[error("the identity provider sent no ID token")]
    NoToken,
    /// The ID token does not verify.
    #[error("the identity provider's token is not valid: {0}")]
    InvalidToken(#[from] ClaimsVerificationError),
    /// The claims of the ID token cannot be decoded.
    #[error("the identity provider's token cannot be read")]
    UnreadableToken,
    /// The ID token has no name that is allowed here.
    #[error("the identity provider's token has no usable name")]
    NoName,
    /// The name is that of another person at the provider.
    #[error("the name {0} belongs to another account of the identity provider; ask its administrator")]
    NameOfAnother(String),
    /// No group of the person has a role here: the person's name.
    #[error("{0} is in no group with a role in this console; ask its administrator")]
    NoRole(String),
}

/// A started sign-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartedSignIn {
    /// URL at the provider to redirect the browser to.
    pub url: String,
    /// The state that must come back both in the browser's cookie and from the provider.
    pub state: String,
}

impl Oidc {
    /// Creates the client. The provider may be on a private network, because its URL comes from the settings.
    ///
    /// # Errors
    /// When the HTTP client cannot be created.
    pub fn new(settings: OidcSettings) -> Result<Self, HttpClientError> {
        Ok(Self { settings, outbound: OutboundClient::new(AddressScope::Anywhere)? })
    }

    async fn provider(&self) -> Result<CoreProviderMetadata, OidcError> {
        let issuer = IssuerUrl::new(self.settings.issuer.clone())?;
        let found = CoreProviderMetadata::discover_async(issuer, &self.outbound).await;
        found.map_err(|e| OidcError::Discovery(Box::new(e)))
    }

    /// Starts a sign-in and stores its state.
    ///
    /// # Errors
    /// When the provider does not answer, or the database fails.
    pub async fn start(&self, people: &People, now: EventTime) -> Result<StartedSignIn, OidcError> {
        let provider = self.provider().await?;
        let client = self.client(provider)?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let flow = AuthenticationFlow::<CoreResponseType>::AuthorizationCode;
        let request = client.authorize_url(flow, CsrfToken::new_random, Nonce::new_random);
        let scopes = self.settings.scopes.iter().cloned().map(Scope::new);
        let (url, state, nonce) = request.add_scopes(scopes).set_pkce_challenge(challenge).url();
        let state = state.secret().clone();
        people.save_sign_in(&state, nonce.secret(), verifier.secret(), now).await?;
        Ok(StartedSignIn { url: url.into(), state })
    }

    /// Finishes a sign-in with the code and state from the redirect; returns the name and the roles.
    ///
    /// # Errors
    /// When the state or the code is not valid, the provider's token does not verify, or no group has a role
    /// here.
    pub async fn finish(
        &self,
        people: &People,
        code: &str,
        state: &str,
        now: EventTime,
    ) -> Result<(String, Vec<Role>), OidcError> {
        let begun = people.take_sign_in(state, now).await?;
        let (nonce, verifier) = begun.ok_or(OidcError::Expired)?;
        let provider = self.provider().await?;
        let client = self.client(provider)?;
        let exchange = client.exchange_code(AuthorizationCode::new(code.to_owned()))?;
        let answer = exchange
            .set_pkce_verifier(PkceCodeVerifier::new(verifier))
            .request_async(&self.outbound)
            .await
            .map_err(|e| OidcError::Code(Box::new(e)))?;
        let token = answer.id_token().ok_or(OidcError::NoToken)?;
        token.claims(&client.id_token_verifier(), &Nonce::new(nonce))?;
        let claims = claims(&token.to_string()).ok_or(OidcError::UnreadableToken)?;
        let (name, roles) = self.person(&claims)?;
        let subject =
            claims["sub"].as_str().filter(|subject| !subject.is_empty()).ok_or(OidcError::NoName)?;
        // Names can be changed by their owners and be given to others; the subject of an issuer cannot (OpenID Connect
        // Core 1.0, 5.7).
        let subject = format!("{}|{subject}", self.settings.issuer);
        let name = people.name_of_subject(&subject, &name).await?.ok_or(OidcError::NameOfAnother(name))?;
        Ok((name, roles))
    }

    /// Returns the name and the roles in the claims of a verified token.
    fn person(&self, claims: &Value) -> Result<(String, Vec<Role>), OidcError> {
        let text = |key: &str| claims[key].as_str().filter(|text| super::accounts::check_name(text).is_ok());
        let name = text("preferred_username").or_else(|| text("email")).or_else(|| text("sub"));
        let name = name.ok_or(OidcError::NoName)?;
        let groups: Vec<&str> = match &claims[&self.settings.claim] {
            Value::Array(groups) => groups.iter().filter_map(Value::as_str).collect(),
            Value::String(group) => vec![group],
            _ => vec![],
        };
        let is_in = |of: &[String]| of.iter().any(|group| groups.contains(&group.as_str()));
        let roles: Vec<Role> =
            self.settings.groups.iter().filter(|(_, of)| is_in(of)).map(|(role, _)| *role).collect();
        if roles.is_empty() {
            return Err(OidcError::NoRole(name.to_owned()));
        }
        Ok((name.to_owned(), roles))
    }
}

type Client = CoreClient<
    openidconnect::EndpointSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointMaybeSet,
    openidconnect::EndpointMaybeSet,
>;

impl Oidc {
    fn client(&self, provider: CoreProviderMetadata) -> Result<Client, OidcError> {
        let secret = Some(self.settings.client_secret.clone()).filter(|secret| !secret.is_empty());
        let id = ClientId::new(self.settings.client_id.clone());
        let back = RedirectUrl::new(self.settings.redirect_url.clone())?;
        let client = CoreClient::from_provider_metadata(provider, id, secret.map(ClientSecret::new));
        Ok(client.set_redirect_uri(back))
    }
}

/// Decodes the claims of a token whose signature was already verified.
fn claims(token: &str) -> Option<Value> {
    let payload = token.split('.').nth(1)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

impl People {
    /// Returns the name under which a subject signed in first, which is `name` if it never did. `None` if that name is
    /// another subject's.
    async fn name_of_subject(&self, subject: &str, name: &str) -> Result<Option<String>, StoreError> {
        sqlx::query("INSERT INTO identities VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(subject)
            .bind(name)
            .execute(&self.pool)
            .await?;
        let found: Option<(String,)> = sqlx::query_as("SELECT name FROM identities WHERE subject = $1")
            .bind(subject)
            .fetch_optional(&self.pool)
            .await?;
        Ok(found.map(|(name,)| name))
    }

    async fn save_sign_in(
        &self,
        state: &str,
        nonce: &str,
        verifier: &str,
        now: EventTime,
    ) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM sign_ins WHERE until <= $1")
            .bind(now.as_millis())
            .execute(&self.pool)
            .await?;
        sqlx::query("INSERT INTO sign_ins VALUES ($1, $2, $3, $4)")
            .bind(hash(state))
            .bind(nonce)
            .bind(verifier)
            .bind((now + SIGN_IN_TIMEOUT).as_millis())
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Removes a started sign-in and returns its nonce and PKCE verifier; `None` if it is unknown or expired.
    async fn take_sign_in(
        &self,
        state: &str,
        now: EventTime,
    ) -> Result<Option<(String, String)>, StoreError> {
        let kept =
            sqlx::query_as("DELETE FROM sign_ins WHERE state = $1 AND until > $2 RETURNING nonce, verifier")
                .bind(hash(state))
                .bind(now.as_millis())
                .fetch_optional(&self.pool)
                .await?;
        Ok(kept)
    }
}
