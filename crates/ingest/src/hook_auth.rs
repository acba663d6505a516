//! Webhooks as platforms sign them: whether a request is theirs, and what they ask before they send any.
//!
//! Sources: Meta, "Webhooks: validate payloads" and "verification requests"; X, "Securing webhooks" and challenge-response checks;
//! Zendesk, "Verifying the authenticity of a webhook".

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use firewatch_domain::{Duration, EventTime};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::platform_time;

/// How old a signature that is dated may be.
const MAX_SIGNATURE_AGE: Duration = Duration::from_mins(5);

/// How requests of a source prove whose they are.
#[derive(Clone, PartialEq, Eq)]
pub enum HookAuth {
    /// Meta: a signature by the app's secret; a subscription is confirmed by a token that both know.
    Meta {
        /// The app's secret.
        secret: String,
        /// What was typed in when the webhook was set up.
        verify_token: String,
    },
    /// X: a signature by the consumer secret, which also answers a challenge.
    X {
        /// The consumer secret.
        secret: String,
    },
    /// Zendesk: a dated signature by the webhook's secret.
    Zendesk {
        /// The webhook's secret.
        secret: String,
    },
    /// Anybody else who signs the body: HMAC-SHA256 in hexadecimal or base64, with or without `sha256=` before it.
    Signed {
        /// The secret.
        secret: String,
        /// The header that holds the signature.
        header: String,
    },
    /// A secret in the request itself: `Authorization: Bearer ...`.
    Bearer {
        /// The secret.
        secret: String,
    },
}

/// No secret in a log.
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

/// Looks a header or a parameter up by its name.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

impl HookAuth {
    /// Checks that a request is from whom the secret is shared with.
    ///
    /// # Errors
    /// Why it is not, in words that help whoever sets it up and nobody else.
    pub fn check(&self, header: Lookup<'_>, body: &[u8], now: EventTime) -> Result<(), String> {
        let signature = |name: &str| header(name).ok_or_else(|| format!("the header {name} is missing"));
        let (secret, signed, parts): (&str, String, Vec<&[u8]>) = match self {
            Self::Meta { secret, .. } => (secret, signature("x-hub-signature-256")?, vec![body]),
            Self::X { secret } => (secret, signature("x-twitter-webhooks-signature")?, vec![body]),
            Self::Signed { secret, header } => (secret, signature(header)?, vec![body]),
            Self::Zendesk { secret } => {
                let dated = signature("x-zendesk-webhook-signature-timestamp")?;
                let at =
                    platform_time::text("timestamp", Some(&dated)).map_err(|rejection| rejection.detail)?;
                if now - at > MAX_SIGNATURE_AGE || at - now > MAX_SIGNATURE_AGE {
                    return Err("the signature is older than five minutes, or of the future".into());
                }
                let signed = signature("x-zendesk-webhook-signature")?;
                return verify(secret, &[dated.as_bytes(), body], &signed);
            }
            Self::Bearer { secret } => {
                let sent = signature("authorization")?;
                let sent = sent.strip_prefix("Bearer ").unwrap_or_default();
                return if tokens_match(secret, sent) { Ok(()) } else { Err("the token is not ours".into()) };
            }
        };
        verify(secret, &parts, &signed)
    }

    /// The answer to a question that a platform asks by GET before it sends anything.
    ///
    /// # Errors
    /// When it asks nothing that is known, or does not know the token.
    pub fn challenge(&self, parameter: Lookup<'_>) -> Result<String, String> {
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
                    _ => Err("no subscription with the token that is set".into()),
                }
            }
            Self::X { secret } => {
                let token = parameter("crc_token").ok_or("the parameter crc_token is missing")?;
                let answer = STANDARD.encode(sign(secret, &[token.as_bytes()]));
                Ok(format!("{{\"response_token\":\"sha256={answer}\"}}"))
            }
            _ => Err("this source asks nothing".into()),
        }
    }
}

fn keyed_hmac(secret: &str, parts: &[&[u8]]) -> Hmac<Sha256> {
    // A key of any length is taken.
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap_or_else(|_| Hmac::new(&<_>::default()));
    parts.iter().for_each(|part| mac.update(part));
    mac
}

fn sign(secret: &str, parts: &[&[u8]]) -> Vec<u8> {
    keyed_hmac(secret, parts).finalize().into_bytes().to_vec()
}

fn verify(secret: &str, parts: &[&[u8]], signature: &str) -> Result<(), String> {
    let signature = signature.trim();
    let signature = signature.strip_prefix("sha256=").unwrap_or(signature);
    let bytes = from_hex(signature).or_else(|| STANDARD.decode(signature).ok());
    let bytes = bytes.ok_or("the signature is neither hexadecimal nor base64")?;
    // In constant time.
    keyed_hmac(secret, parts).verify_slice(&bytes).map_err(|_| "the signature does not fit the body".into())
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect();
    let digits = digits.filter(|digits| digits.len() == 64)?;
    Some(digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect())
}

/// In constant time: what is compared are two signatures.
fn tokens_match(ours: &str, theirs: &str) -> bool {
    keyed_hmac(ours, &[]).verify_slice(&sign(theirs, &[])).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: EventTime = EventTime::from_millis(1_780_131_600_000);

    fn check(hook: &HookAuth, headers: &[(&str, &str)], body: &str) -> Result<(), String> {
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
            let signature = sign("key", &[b"body"]);
            let hex: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
            for written in [hex, STANDARD.encode(&signature)] {
                let written = format!("{prefix}{written}");
                assert_eq!(check(&hook, &[(header, &written)], "body"), Ok(()), "{hook:?}");
                assert!(check(&hook, &[(header, &written)], "bodY").is_err());
            }
            assert!(check(&hook, &[], "body").unwrap_err().contains("is missing"));
            assert!(check(&hook, &[(header, "sha256=zz")], "body").is_err());
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
        assert!(at("2026-05-30T08:54:00Z").unwrap_err().contains("five minutes"));
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
    fn the_signature_is_rfc_4231s() {
        // Test case 2 of RFC 4231.
        let hex: String = sign("Jefe", &[b"what do ya want ", b"for nothing?"])
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        assert_eq!(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }
}
