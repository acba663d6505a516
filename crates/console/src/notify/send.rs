//! Sends messages by each transport and classifies the response: accepted, retry later, or refused.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use firewatch_domain::EventTime;
use hmac::{Hmac, KeyInit, Mac};
use lettre::message::{Mailbox, header};
use lettre::transport::smtp::authentication::Credentials;
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use openidconnect::HttpRequest;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Mail, Message, NotificationChannel, Transport};
use crate::outbound_client::{AddressScope, HttpClientError, OutboundClient};
use firewatch_http::install_tls_provider;

/// The outcome of one try to send a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendResult {
    /// The receiver accepted the message.
    Accepted,
    /// The try failed for a reason that may pass; holds the reason.
    RetryLater(String),
    /// A retry cannot succeed; holds the reason.
    Refused(String),
}

/// Sends messages by the configured channels.
#[derive(Clone)]
pub struct Sender {
    channels: Arc<BTreeMap<String, NotificationChannel>>,
    public: OutboundClient,
    anywhere: OutboundClient,
}

impl Sender {
    /// Creates a sender for these channels.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(channels: &[NotificationChannel]) -> Result<Self, HttpClientError> {
        install_tls_provider();
        let channels = channels.iter().map(|channel| (channel.name.clone(), channel.clone())).collect();
        let (public, anywhere) =
            (OutboundClient::new(AddressScope::Public)?, OutboundClient::new(AddressScope::Anywhere)?);
        Ok(Self { channels: Arc::new(channels), public, anywhere })
    }

    /// Returns the channels in the order of their names.
    pub fn channels(&self) -> impl Iterator<Item = &NotificationChannel> {
        self.channels.values()
    }

    /// Sends a message by the named channel. `now` is the timestamp of a webhook's signature.
    pub async fn send(&self, channel: &str, message: &Message, now: EventTime) -> SendResult {
        let Some(channel) = self.channels.get(channel) else {
            return SendResult::Refused("the channel was removed from the settings".into());
        };
        match &channel.transport {
            Transport::Slack { url } => self.post(channel, url, &message.slack(), &[]).await,
            Transport::Teams { url } => self.post(channel, url, &message.teams(), &[]).await,
            Transport::PagerDuty { url, key } => self.post(channel, url, &message.pagerduty(key), &[]).await,
            Transport::Webhook { url, secret } => match serde_json::to_value(message) {
                Ok(body) => {
                    let signed = signature(secret, &message.id, now, &body.to_string());
                    self.post(channel, url, &body, &signed).await
                }
                Err(e) => SendResult::Refused(e.to_string()),
            },
            Transport::Email(mail) => send_mail(mail, message).await,
        }
    }

    async fn post(
        &self,
        channel: &NotificationChannel,
        url: &str,
        body: &Value,
        headers: &[(&str, String)],
    ) -> SendResult {
        let Some(request) = request(url, body, headers) else {
            return SendResult::Refused("the channel's URL is not valid in an HTTP request".into());
        };
        let outbound =
            if channel.address_scope == AddressScope::Anywhere { &self.anywhere } else { &self.public };
        let answer = match outbound.send(request).await {
            Ok(answer) => answer,
            Err(e) => return SendResult::RetryLater(e.to_string()),
        };
        let status = answer.status();
        let excerpt: String = String::from_utf8_lossy(answer.body()).chars().take(200).collect();
        match status.as_u16() {
            200..=299 => SendResult::Accepted,
            408 | 425 | 429 | 500..=599 => SendResult::RetryLater(format!("response {status}: {excerpt}")),
            _ => SendResult::Refused(format!("response {status}: {excerpt}")),
        }
    }
}

fn request(url: &str, body: &Value, headers: &[(&str, String)]) -> Option<HttpRequest> {
    let mut request = HttpRequest::new(body.to_string().into_bytes());
    *request.method_mut() = axum::http::Method::POST;
    *request.uri_mut() = url.parse().ok()?;
    request.headers_mut().insert("content-type", "application/json".parse().ok()?);
    for (name, value) in headers {
        request
            .headers_mut()
            .insert(axum::http::HeaderName::from_bytes(name.as_bytes()).ok()?, value.parse().ok()?);
    }
    Some(request)
}

/// Returns the headers of Standard Webhooks (standardwebhooks.com). The signature covers the id, the time and
/// the body, so a receiver can trust them and refuse messages that are old or repeated.
fn signature(secret: &[u8], id: &str, now: EventTime, body: &str) -> [(&'static str, String); 3] {
    let id = format!("msg_{}", hashed_id(id));
    let secs = now.as_millis() / 1000;
    let mac = Hmac::<Sha256>::new_from_slice(secret).map(|mut mac| {
        mac.update(format!("{id}.{secs}.{body}").as_bytes());
        mac.finalize().into_bytes()
    });
    let mac = mac.map(|mac| STANDARD.encode(mac)).unwrap_or_default();
    [("webhook-id", id), ("webhook-timestamp", secs.to_string()), ("webhook-signature", format!("v1,{mac}"))]
}

/// Returns the first 128 bits of the text's SHA-256 in hex.
fn hashed_id(text: &str) -> String {
    Sha256::digest(text).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

async fn send_mail(mail: &Mail, message: &Message) -> SendResult {
    let transport = match mail.tls.as_str() {
        "tls" => AsyncSmtpTransport::<Tokio1Executor>::relay(&mail.server),
        "starttls" => AsyncSmtpTransport::<Tokio1Executor>::starttls_relay(&mail.server),
        _ => Ok(AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&mail.server)),
    };
    let transport = match transport {
        Ok(transport) => transport.port(mail.port).timeout(Some(std::time::Duration::from_secs(20))),
        Err(e) => return SendResult::Refused(e.to_string()),
    };
    let transport = match &mail.user {
        Some((user, password)) => transport.credentials(Credentials::new(user.clone(), password.clone())),
        None => transport,
    };
    let written = match build_mail(mail, message) {
        Ok(written) => written,
        Err(problem) => return SendResult::Refused(problem),
    };
    match transport.build().send(written).await {
        Ok(_) => SendResult::Accepted,
        Err(e) if e.is_permanent() => SendResult::Refused(format!("{}: {e}", mail.server)),
        Err(e) => SendResult::RetryLater(format!("{}: {e}", mail.server)),
    }
}

fn build_mail(mail: &Mail, message: &Message) -> Result<lettre::Message, String> {
    let address = |text: &str| text.parse::<Mailbox>().map_err(|e| format!("{text}: {e}"));
    let from = address(&mail.from)?;
    let (subject, text) = message.mail();
    // A repeat has the same Message-ID, so that mail programs can detect it.
    let id = format!("<{}@{}>", hashed_id(&message.id), from.email.domain());
    let to = mail.to.iter().map(|to| address(to)).collect::<Result<Vec<_>, _>>()?;
    let head = lettre::Message::builder().from(from).message_id(Some(id)).subject(subject);
    let head = to.into_iter().fold(head, lettre::message::MessageBuilder::to);
    head.header(header::ContentType::TEXT_PLAIN).body(text).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_the_standard() {
        // Expected value from openssl: echo -n 'msg_….1.{}' | openssl dgst -sha256 -hmac key.
        let [id, time, signed] = signature(b"key", "x", EventTime::from_millis(1_000), "{}");
        assert_eq!((id.1.as_str(), time.1.as_str()), ("msg_2d711642b726b04401627ca9fbac32f5", "1"));
        assert_eq!(signed.1, "v1,Le62E8Us1qb39qJhzgnDl97MuVM7BDjEpFtbl2CXW3o=");
    }
}
