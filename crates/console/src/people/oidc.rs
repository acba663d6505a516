//! Sign-in by an identity provider: OpenID Connect, authorization code with PKCE. The provider says who somebody is and in which groups;
//! the settings say which groups have which role. Its keys are asked for anew with each sign-in, so they may change at any time.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use firewatch_domain::{Duration, EventTime};
use openidconnect::core::{CoreClient, CoreProviderMetadata, CoreResponseType};
use openidconnect::{
    AuthenticationFlow, AuthorizationCode, ClientId, ClientSecret, CsrfToken, IssuerUrl, Nonce,
    PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope, TokenResponse,
};
use serde_json::Value;

use super::{People, Role, hash};
use crate::outbound_client::{self, OutboundClient};
use crate::store::StoreError;

/// A sign-in that was begun has to be ended within this.
const SIGN_IN_TIMEOUT: Duration = Duration::from_mins(10);

/// How the provider is reached, and what its groups are here.
#[derive(Clone, PartialEq, Eq)]
pub struct OidcSettings {
    /// The provider's issuer URL.
    pub issuer: String,
    /// What the provider knows this console by.
    pub client_id: String,
    /// And its secret; empty for a public client.
    pub client_secret: String,
    /// Where the provider sends browsers back to.
    pub redirect_url: String,
    /// The claim that holds the groups.
    pub claim: String,
    /// Scopes to ask for beside `openid`.
    pub scopes: Vec<String>,
    /// The groups of each role.
    pub groups: Vec<(Role, Vec<String>)>,
}

impl std::fmt::Debug for OidcSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The client's secret is one.
        write!(f, "{} as {}", self.issuer, self.client_id)
    }
}

/// Signs in by a provider.
pub struct Oidc {
    settings: OidcSettings,
    outbound: OutboundClient,
}

/// A sign-in that was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartedSignIn {
    /// Where the browser goes.
    pub url: String,
    /// What it has to bring back, by its cookie and by the provider.
    pub state: String,
}

impl Oidc {
    /// With these settings. The provider may be on a private network; it is the settings' owner who says where it is.
    ///
    /// # Errors
    /// When no client for it can be made.
    pub fn new(settings: OidcSettings) -> Result<Self, String> {
        Ok(Self { settings, outbound: OutboundClient::new(outbound_client::AddressScope::Anywhere)? })
    }

    async fn provider(&self) -> Result<CoreProviderMetadata, String> {
        let issuer = IssuerUrl::new(self.settings.issuer.clone()).map_err(|e| e.to_string())?;
        let found = CoreProviderMetadata::discover_async(issuer, &self.outbound).await;
        found.map_err(|e| format!("the identity provider does not answer as one: {e}"))
    }

    /// Begins a sign-in.
    ///
    /// # Errors
    /// When the provider does not answer, or the database fails.
    pub async fn start(&self, people: &People, now: EventTime) -> Result<StartedSignIn, String> {
        let provider = self.provider().await?;
        let client = self.client(provider)?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let flow = AuthenticationFlow::<CoreResponseType>::AuthorizationCode;
        let request = client.authorize_url(flow, CsrfToken::new_random, Nonce::new_random);
        let scopes = self.settings.scopes.iter().cloned().map(Scope::new);
        let (url, state, nonce) = request.add_scopes(scopes).set_pkce_challenge(challenge).url();
        let state = state.secret().clone();
        let begun = (state.as_str(), nonce.secret().as_str(), verifier.secret().as_str());
        people.save_sign_in(begun, now).await.map_err(|e| e.to_string())?;
        Ok(StartedSignIn { url: url.into(), state })
    }

    /// Ends a sign-in with what the browser brings back: the name, and the roles. No role is no way in.
    ///
    /// # Errors
    /// When the provider does not vouch for anybody, or nobody here knows the groups.
    pub async fn finish(
        &self,
        people: &People,
        (code, state): (&str, &str),
        now: EventTime,
    ) -> Result<(String, Vec<Role>), String> {
        let begun = people.take_sign_in(state, now).await.map_err(|e| e.to_string())?;
        let (nonce, verifier) = begun.ok_or("this sign-in took too long or was used; begin again")?;
        let provider = self.provider().await?;
        let client = self.client(provider)?;
        let exchange =
            client.exchange_code(AuthorizationCode::new(code.to_owned())).map_err(|e| e.to_string())?;
        let answer = exchange
            .set_pkce_verifier(PkceCodeVerifier::new(verifier))
            .request_async(&self.outbound)
            .await
            .map_err(|e| format!("the identity provider refuses the code: {e}"))?;
        let token = answer.id_token().ok_or("the identity provider sent no ID token")?;
        token
            .claims(&client.id_token_verifier(), &Nonce::new(nonce))
            .map_err(|e| format!("the identity provider's token does not hold: {e}"))?;
        let claims = claims(&token.to_string()).ok_or("the identity provider's token cannot be read")?;
        self.person(&claims)
    }

    /// Who the claims of a verified token speak of.
    fn person(&self, claims: &Value) -> Result<(String, Vec<Role>), String> {
        let text = |key: &str| claims[key].as_str().filter(|text| super::accounts::check_name(text).is_ok());
        let name = text("preferred_username").or_else(|| text("email")).or_else(|| text("sub"));
        let name = name.ok_or("the identity provider tells no name that can be used")?;
        let groups: Vec<&str> = match &claims[&self.settings.claim] {
            Value::Array(groups) => groups.iter().filter_map(Value::as_str).collect(),
            Value::String(group) => vec![group],
            _ => vec![],
        };
        let is_in = |of: &[String]| of.iter().any(|group| groups.contains(&group.as_str()));
        let roles: Vec<Role> =
            self.settings.groups.iter().filter(|(_, of)| is_in(of)).map(|(role, _)| *role).collect();
        if roles.is_empty() {
            return Err(format!("{name} is in no group that may use this console; ask whoever runs it"));
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
    fn client(&self, provider: CoreProviderMetadata) -> Result<Client, String> {
        let secret = Some(self.settings.client_secret.clone()).filter(|secret| !secret.is_empty());
        let id = ClientId::new(self.settings.client_id.clone());
        let back = RedirectUrl::new(self.settings.redirect_url.clone()).map_err(|e| e.to_string())?;
        let client = CoreClient::from_provider_metadata(provider, id, secret.map(ClientSecret::new));
        Ok(client.set_redirect_uri(back))
    }
}

/// The claims of a token whose signature was verified.
fn claims(token: &str) -> Option<Value> {
    let payload = token.split('.').nth(1)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

impl People {
    async fn save_sign_in(
        &self,
        (state, nonce, verifier): (&str, &str, &str),
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

    /// What was kept of a sign-in; it is used up.
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
