//! Sign-in with an identity provider: authorization code with PKCE, and the responses that are refused.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use firewatch_tests::console::{ConsoleProcess, ConsoleSetup, HttpAnswer};
use openidconnect::core::{CoreJsonWebKey, CoreJwsSigningAlgorithm, CoreRsaPrivateSigningKey};
use openidconnect::{JsonWebKeyId, PrivateSigningKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A key for this test only; it protects nothing.
const KEY: &str = include_str!("data/oidc-test-key.pem");

/// What the provider returns next, and the requests that it got.
#[derive(Default)]
struct ProviderAnswer {
    claims: Value,
    /// The PKCE challenge of the browser; a code is exchanged only with the matching verifier.
    challenge: String,
    /// Signs with a key other than the published one.
    lies: bool,
}

struct Provider {
    issuer: String,
    answer: Arc<Mutex<ProviderAnswer>>,
}

impl Provider {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let provider_answer = Arc::<Mutex<ProviderAnswer>>::default();
        let (own, shared) = (issuer.clone(), provider_answer.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                answer(stream, &own, &shared.lock().unwrap());
            }
        });
        Self { issuer, answer: provider_answer }
    }

    fn set_answer(&self, change: impl FnOnce(&mut ProviderAnswer)) {
        change(&mut self.answer.lock().unwrap());
    }
}

fn answer(stream: TcpStream, issuer: &str, provider_answer: &ProviderAnswer) {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while reader.read_line(&mut head).unwrap_or(0) > 2 && !head.ends_with("\r\n\r\n") {}
    let long =
        head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; long.unwrap_or(0)];
    let _ = reader.read_exact(&mut body);
    let body = String::from_utf8_lossy(&body).into_owned();
    let (status, response_body) = match head.split(' ').nth(1).unwrap_or_default() {
        "/.well-known/openid-configuration" => (
            200,
            json!({
                "issuer": issuer, "authorization_endpoint": format!("{issuer}/authorize"), "token_endpoint": format!("{issuer}/token"),
                "jwks_uri": format!("{issuer}/keys"), "response_types_supported": ["code"], "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
            }),
        ),
        "/keys" => (200, json!({ "keys": [public_key()] })),
        _ => {
            let verifier =
                body.split('&').find_map(|pair| pair.strip_prefix("code_verifier=")).unwrap_or_default();
            let fits = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)) == provider_answer.challenge;
            match fits && body.contains("code=good") {
                true => (
                    200,
                    json!({ "access_token": "a", "token_type": "Bearer", "id_token": token(provider_answer) }),
                ),
                false => (400, json!({ "error": "invalid_grant" })),
            }
        }
    };
    let response_body = response_body.to_string();
    let long = response_body.len();
    let _ = write!(
        reader.get_mut(),
        "HTTP/1.1 {status} OK\r\ncontent-type: application/json\r\ncontent-length: {long}\r\nconnection: close\r\n\r\n{response_body}"
    );
}

fn key() -> CoreRsaPrivateSigningKey {
    CoreRsaPrivateSigningKey::from_pem(KEY, Some(JsonWebKeyId::new("k".into()))).unwrap()
}

fn public_key() -> CoreJsonWebKey {
    key().as_verification_key()
}

fn token(provider_answer: &ProviderAnswer) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", part(&json!({ "alg": "RS256", "kid": "k" })), part(&provider_answer.claims));
    let signed = key().sign(&CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256, text.as_bytes()).unwrap();
    let signed = if provider_answer.lies { vec![1; signed.len()] } else { signed };
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signed))
}

fn part(url: &str, name: &str) -> String {
    let pairs = url.split(['?', '&']);
    pairs
        .filter_map(|pair| pair.split_once('='))
        .find(|(key, _)| *key == name)
        .unwrap_or_default()
        .1
        .to_owned()
}

/// Starts a sign-in; returns the provider's URL and the cookie that is set.
fn begin(console: &ConsoleProcess) -> (String, String) {
    let started = console.get("/sign-in/start?to=/wall");
    assert_eq!(started.status, 303, "{}", started.text);
    let cookie = started.header("set-cookie").split(';').next().unwrap_or_default().to_owned();
    (started.header("location").to_owned(), cookie)
}

/// Signs in with the claims that `change` makes of kim's; returns the answer to the redirect back.
fn attempt(
    console: &mut ConsoleProcess,
    provider: &Provider,
    change: &dyn Fn(&mut Value),
    code: &str,
    lies: bool,
    drop_cookie: bool,
) -> HttpAnswer {
    console.cookie.clear();
    let (location, cookie) = begin(console);
    assert!(location.starts_with(&format!("{}/authorize?", provider.issuer)), "{location}");
    assert_eq!(part(&location, "code_challenge_method"), "S256");
    assert!(part(&location, "redirect_uri").ends_with("%2Fsign-in%2Fback"), "{location}");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let mut claims = json!({
        "iss": provider.issuer, "aud": "fw", "sub": "1", "exp": now + 60, "iat": now, "nonce": part(&location, "nonce"),
        "preferred_username": "kim", "groups": ["pr", "staff"],
    });
    change(&mut claims);
    provider.set_answer(|provider_answer| {
        *provider_answer = ProviderAnswer { claims, challenge: part(&location, "code_challenge"), lies }
    });
    console.cookie = if drop_cookie { String::new() } else { cookie };
    console.get(&format!("/sign-in/back?code={code}&state={}", part(&location, "state")))
}

fn settings(provider: &Provider) -> String {
    format!(
        "sign_in = \"oidc\"\nurl = \"http://console.example\"\n[console.oidc]\nissuer = \"{}\"\nclient_id = \"fw\"\nclient_secret = \"s\"\n\
         groups = {{ responder = [\"pr\"], privacy_officer = [\"privacy\"] }}\n",
        provider.issuer
    )
}

#[test]
fn people_are_known_by_their_subject_and_not_by_a_name_that_can_be_anothers() {
    let provider = Provider::start();
    let setup = ConsoleSetup::new(&settings(&provider));
    let mut console = setup.start();
    assert_eq!(attempt(&mut console, &provider, &|_| {}, "good", false, false).status, 303);
    let other = |claims: &mut Value| claims["sub"] = "2".into();
    let answer = attempt(&mut console, &provider, &other, "good", false, false);
    assert!(answer.status == 401 && answer.text.contains("belongs to another account"), "{}", answer.text);
    let renamed = |claims: &mut Value| claims["preferred_username"] = "pat".into();
    let answer = attempt(&mut console, &provider, &renamed, "good", false, false);
    console.sign_in_as(&answer);
    assert_eq!(console.get("/api/me").json()["name"], "kim");
}

#[test]
fn a_provider_signs_users_in_and_maps_groups_to_roles() {
    let provider = Provider::start();
    let setup = ConsoleSetup::new(&settings(&provider));
    let mut console = setup.start();
    assert!(
        console.get("/sign-in").text.contains("your organisation&#x27;s account")
            || console.get("/sign-in").text.contains("organisation's account")
    );
    let mut attempt = |change: &dyn Fn(&mut Value), code: &str, lies: bool, drop_cookie: bool| {
        attempt(&mut console, &provider, change, code, lies, drop_cookie)
    };
    let refused = |answer: &HttpAnswer, expected: &str| {
        assert!(answer.status == 401 && answer.text.contains(expected), "{}", answer.text);
    };
    refused(&attempt(&|_| {}, "bad", false, false), "rejected the code");
    refused(&attempt(&|_| {}, "good", true, false), "is not valid");
    refused(&attempt(&|claims| claims["nonce"] = "other".into(), "good", false, false), "is not valid");
    refused(&attempt(&|claims| claims["aud"] = "other".into(), "good", false, false), "is not valid");
    refused(&attempt(&|claims| claims["exp"] = 1.into(), "good", false, false), "is not valid");
    refused(
        &attempt(&|claims| claims["iss"] = "http://evil.example".into(), "good", false, false),
        "is not valid",
    );
    refused(&attempt(&|claims| claims["groups"] = json!(["strangers"]), "good", false, false), "in no group");
    refused(&attempt(&|_| {}, "good", false, true), "not started in this browser");
    let answer = attempt(&|_| {}, "good", false, false);
    assert_eq!((answer.status, answer.header("location")), (303, "/wall"), "{}", answer.text);
    let began = console.cookie.clone();
    console.sign_in_as(&answer);
    let me = console.get("/api/me").json();
    assert_eq!((&me["name"], &me["roles"]), (&"kim".into(), &json!(["responder"])));
    assert_eq!(console.get("/api/audit").status, 403);
    // A code is used a second time.
    console.cookie = began;
    let (_, state) = console.cookie.split_once('=').unwrap();
    let state = state.split('|').next().unwrap().to_owned();
    let again = console.get(&format!("/sign-in/back?code=good&state={state}"));
    refused(&again, "expired or was already used");
    let page = console.get("/sign-in/back?error=access_denied&state=x").text;
    assert!(page.contains("The identity provider returned the error access_denied"), "{page}");
}
