//! Webhook authentication: verifies the platforms' signatures and answers their challenges.
//!
//! Sources: Meta, "Webhooks: validate payloads" and "verification requests"; X, "Securing webhooks" and
//! challenge-response checks; Zendesk, "Verifying the authenticity of a webhook".

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use firewatch_domain::{Duration, EventTime};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use thiserror::Error;

use crate::{Rejection, platform_time};

/// Maximum difference between a signature's timestamp and the clock.
const MAX_SIGNATURE_AGE: Duration = Duration::from_mins(5);

/// Maximum length of a challenge's token. X's have about 64 characters.
const MAX_TOKEN_CHARS: usize = 256;

/// How the webhook requests of a source are authenticated.
#[derive(Clone, PartialEq, Eq)]
pub enum HookAuth {
    /// Meta: a signature by the app secret. A subscription is confirmed by a shared verify token.
    Meta {
        /// The app secret.
        secret: String,
        /// The verify token entered when the webhook was set up.
        verify_token: String,
    },
    /// X: a signature by the consumer secret, which also signs challenges.
    X {
        /// The consumer secret.
        secret: String,
    },
    /// Zendesk: a signature with timestamp by the webhook's secret.
    Zendesk {
        /// The webhook's secret.
        secret: String,
    },
    /// Any other sender that signs the body: HMAC-SHA256 in hexadecimal or base64, optionally prefixed by
    /// `sha256=`.
    Signed {
        /// The key of the HMAC.
        secret: String,
        /// The name of the signature header.
        header: String,
    },
    /// A bearer token: `Authorization: Bearer ...`.
    Bearer {
        /// The token.
        secret: String,
    },
}

/// Prints the variant only, so that no secret gets into a log.
impl fmt::Debug for HookAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Meta { .. } => "Meta",
            Self::X { .. } => "X",
            Self::Zendesk { .. } => "Zendesk",
            Self::Signed { .. } => "Signed",
            Self::Bearer { .. } => "Bearer",
        })
    }
}

/// Why a request is not authenticated. The message helps with the set-up, but not an attacker.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HookAuthError {
    /// A header is missing: its name.
    #[error("the header {0} is missing")]
    MissingHeader(String),
    /// The signature's time cannot be read.
    #[error("{}", .0.detail)]
    Timestamp(#[source] Rejection),
    /// The signature is too old, or from the future.
    #[error("the signature's time is more than five minutes from now")]
    Expired,
    /// The signature's encoding is unknown.
    #[error("the signature is neither hexadecimal nor base64")]
    Encoding,
    /// The signature is not by a holder of the secret.
    #[error("the signature does not match the body")]
    WrongSignature,
    /// The bearer token is another one.
    #[error("the token is wrong")]
    WrongToken,
    /// The body is the token of a challenge, which anybody can have signed.
    #[error("the body is the token of a challenge, not a payload")]
    ChallengeToken,
}

/// Why a challenge is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ChallengeError {
    /// The request does not confirm a subscription, or has another verify token.
    #[error("not a subscription with the configured verify token")]
    WrongVerifyToken,
    /// A query parameter is missing: its name.
    #[error("the parameter {0} is missing")]
    MissingParameter(&'static str),
    /// The source has no challenge.
    #[error("this source has no challenge")]
    NoChallenge,
    /// The token could be a payload, which the answer would sign.
    #[error("crc_token is not a token: give 1 to 256 of A-Z, a-z, 0-9, `_`, `=`, `+`, `/` and `-`")]
    NotAToken,
}

/// Looks up a header or query parameter by name.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

impl HookAuth {
    /// Checks what does not need the body: that a request has a signature, or the right token.
    ///
    /// # Errors
    /// The name of the header that is missing, or that the token is wrong.
    pub fn check_headers(&self, header: Lookup<'_>) -> Result<(), HookAuthError> {
        let name = match self {
            Self::Meta { .. } => "x-hub-signature-256",
            Self::X { .. } => "x-twitter-webhooks-signature",
            Self::Zendesk { .. } => "x-zendesk-webhook-signature",
            Self::Signed { header, .. } => header,
            Self::Bearer { .. } => return self.check(header, &[], EventTime::EARLIEST),
        };
        header(name).map(drop).ok_or_else(|| HookAuthError::MissingHeader(name.to_owned()))
    }

    /// Verifies that a request comes from a holder of the secret.
    ///
    /// # Errors
    /// The reason for the refusal. It helps with the set-up, but not an attacker.
    pub fn check(&self, header: Lookup<'_>, body: &[u8], now: EventTime) -> Result<(), HookAuthError> {
        let signature =
            |name: &str| header(name).ok_or_else(|| HookAuthError::MissingHeader(name.to_owned()));
        let (secret, signed, parts): (&str, String, Vec<&[u8]>) = match self {
            Self::Meta { secret, .. } => (secret, signature("x-hub-signature-256")?, vec![body]),
            // The challenge is answered with the same key.
            Self::X { .. } if is_token(body) => return Err(HookAuthError::ChallengeToken),
            Self::X { secret } => (secret, signature("x-twitter-webhooks-signature")?, vec![body]),
            Self::Signed { secret, header } => (secret, signature(header)?, vec![body]),
            Self::Zendesk { secret } => {
                let dated = signature("x-zendesk-webhook-signature-timestamp")?;
                let at = platform_time::text("timestamp", Some(&dated)).map_err(HookAuthError::Timestamp)?;
                if now - at > MAX_SIGNATURE_AGE || at - now > MAX_SIGNATURE_AGE {
                    return Err(HookAuthError::Expired);
                }
                let signed = signature("x-zendesk-webhook-signature")?;
                return verify(secret, &[dated.as_bytes(), body], &signed);
            }
            Self::Bearer { secret } => {
                let sent = signature("authorization")?;
                let sent = sent.strip_prefix("Bearer ").unwrap_or_default();
                return if tokens_match(secret, sent) { Ok(()) } else { Err(HookAuthError::WrongToken) };
            }
        };
        verify(secret, &parts, &signed)
    }

    /// Returns the response to the challenge that a platform sends by GET before its first payload.
    ///
    /// # Errors
    /// If the source has no challenge, a parameter is missing, or the token is wrong.
    pub fn challenge(&self, parameter: Lookup<'_>) -> Result<String, ChallengeError> {
        match self {
            Self::Meta { verify_token, .. } => {
                let sent = parameter("hub.verify_token").unwrap_or_default();
                match parameter("hub.challenge") {
                    Some(challenge)
                        if parameter("hub.mode").as_deref() == Some("subscribe")
                            && tokens_match(verify_token, &sent) =>
                    {
                        Ok(challenge)
                    }
                    _ => Err(ChallengeError::WrongVerifyToken),
                }
            }
            Self::X { secret } => {
                let token = parameter("crc_token").ok_or(ChallengeError::MissingParameter("crc_token"))?;
                if !is_token(token.as_bytes()) {
                    return Err(ChallengeError::NotAToken);
                }
                let answer = STANDARD.encode(sign(secret, &[token.as_bytes()]));
                Ok(format!("{{\"response_token\":\"sha256={answer}\"}}"))
            }
            _ => Err(ChallengeError::NoChallenge),
        }
    }
}

/// Returns whether a text is the token of a challenge. No payload is: JSON and XML have brackets.
fn is_token(text: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_=+/-".contains(byte);
    (1..=MAX_TOKEN_CHARS).contains(&text.len()) && text.iter().all(is_plain)
}

fn keyed_hmac(secret: &str, parts: &[&[u8]]) -> Hmac<Sha256> {
    // An HMAC accepts keys of any length, so this never fails.
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap_or_else(|_| Hmac::new(&<_>::default()));
    parts.iter().for_each(|part| mac.update(part));
    mac
}

fn sign(secret: &str, parts: &[&[u8]]) -> Vec<u8> {
    keyed_hmac(secret, parts).finalize().into_bytes().to_vec()
}

fn verify(secret: &str, parts: &[&[u8]], signature: &str) -> Result<(), HookAuthError> {
    let signature = signature.trim();
    let signature = signature.strip_prefix("sha256=").unwrap_or(signature);
    let bytes = from_hex(signature).or_else(|| STANDARD.decode(signature).ok());
    let bytes = bytes.ok_or(HookAuthError::Encoding)?;
    // Compares in constant time.
    keyed_hmac(secret, parts).verify_slice(&bytes).map_err(|_| HookAuthError::WrongSignature)
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect();
    let digits = digits.filter(|digits| digits.len() == 64)?;
    Some(digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect())
}

/// Compares two tokens in constant time, by their signatures.
fn tokens_match(ours: &str, theirs: &str) -> bool {
    keyed_hmac(ours, &[]).verify_slice(&sign(theirs, &[])).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: EventTime = EventTime::from_millis(1_780_131_600_000);

    fn check(hook: &HookAuth, headers: &[(&str, &str)], body: &str) -> Result<(), HookAuthError> {
        let header =
            |name: &str| headers.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        hook.check(&header, body.as_bytes(), NOW)
    }

    #[test]
    fn signatures_are_those_of_the_platforms() {
        let meta = HookAuth::Meta { secret: "key".into(), verify_token: "token".into() };
        for (hook, header, prefix) in [
            (meta, "x-hub-signature-256", "sha256="),
            (HookAuth::X { secret: "key".into() }, "x-twitter-webhooks-signature", "sha256="),
            (HookAuth::Signed { secret: "key".into(), header: "x-sign".into() }, "x-sign", ""),
        ] {
            let signature = sign("key", &[b"{body}"]);
            let hex: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
            for written in [hex, STANDARD.encode(&signature)] {
                let written = format!("{prefix}{written}");
                assert_eq!(check(&hook, &[(header, &written)], "{body}"), Ok(()), "{hook:?}");
                assert!(check(&hook, &[(header, &written)], "{bodY}").is_err());
            }
            assert!(check(&hook, &[], "{body}").unwrap_err().to_string().contains("is missing"));
            assert!(check(&hook, &[(header, "sha256=zz")], "{body}").is_err());
        }
    }

    #[test]
    fn an_old_signature_is_none() {
        let hook = HookAuth::Zendesk { secret: "key".into() };
        let at = |time: &str| {
            let signature = STANDARD.encode(sign("key", &[time.as_bytes(), b"body"]));
            check(
                &hook,
                &[
                    ("x-zendesk-webhook-signature-timestamp", time),
                    ("x-zendesk-webhook-signature", &signature),
                ],
                "body",
            )
        };
        assert_eq!(at("2026-05-30T09:00:00Z"), Ok(()));
        assert!(at("2026-05-30T08:54:00Z").unwrap_err().to_string().contains("five minutes"));
        assert!(at("2026-05-30T09:06:00Z").is_err() && at("soon").is_err());
    }

    #[test]
    fn a_token_and_a_challenge() {
        let bearer = HookAuth::Bearer { secret: "s3".into() };
        assert_eq!(check(&bearer, &[("authorization", "Bearer s3")], ""), Ok(()));
        assert!(check(&bearer, &[("authorization", "Bearer s4")], "").is_err());
        assert!(check(&bearer, &[("authorization", "s3")], "").is_err());
        let ask = |hook: &HookAuth, asked: &[(&str, &str)]| {
            hook.challenge(&|name| asked.iter().find(|(key, _)| *key == name).map(|(_, v)| (*v).to_owned()))
        };
        let meta = HookAuth::Meta { secret: "key".into(), verify_token: "token".into() };
        let asked = [("hub.mode", "subscribe"), ("hub.verify_token", "token"), ("hub.challenge", "77")];
        assert_eq!(ask(&meta, &asked), Ok("77".into()));
        let other = [("hub.mode", "subscribe"), ("hub.verify_token", "tokeN"), ("hub.challenge", "77")];
        assert!(ask(&meta, &other).is_err() && ask(&meta, &[]).is_err());
        let x = ask(&HookAuth::X { secret: "key".into() }, &[("crc_token", "abc")]).unwrap();
        assert_eq!(
            x,
            format!("{{\"response_token\":\"sha256={}\"}}", STANDARD.encode(sign("key", &[b"abc"])))
        );
        assert!(ask(&bearer, &asked).is_err());
    }

    #[test]
    fn what_a_challenge_has_signed_is_no_payload() {
        let hook = HookAuth::X { secret: "key".into() };
        let signed = |token: &str| {
            let answer = hook.challenge(&|name| (name == "crc_token").then(|| token.to_owned()))?;
            let (_, signature) = answer.split_once("\":\"").unwrap();
            Ok(signature.trim_end_matches("\"}").to_owned())
        };
        let forged = r#"{"data":{"id":"1","text":"forged"}}"#;
        assert_eq!(signed(forged), Err(ChallengeError::NotAToken));
        assert_eq!(signed(&"a".repeat(257)), Err(ChallengeError::NotAToken));
        assert_eq!(signed(""), Err(ChallengeError::NotAToken));
        let token = "MTc5NTAwMDAw_-+/=";
        let signature = signed(token).unwrap();
        assert_eq!(
            check(&hook, &[("x-twitter-webhooks-signature", &signature)], token),
            Err(HookAuthError::ChallengeToken)
        );
    }

    #[test]
    fn the_signature_is_rfc_4231s() {
        // Test case 2 of RFC 4231.
        let hex: String = sign("Jefe", &[b"what do ya want ", b"for nothing?"])
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        assert_eq!(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }
}
