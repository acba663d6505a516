//! Sending: each way with its own words, and what its answer means.

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
use crate::outbound_client::{AddressScope, OutboundClient};
use firewatch_http::install_tls_provider;

/// What came of sending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendResult {
    /// It was taken.
    Accepted,
    /// It may be taken later; why not now.
    RetryLater(String),
    /// It will never be taken; why.
    Refused(String),
}

/// Sends messages.
#[derive(Clone)]
pub struct Sender {
    channels: Arc<BTreeMap<String, NotificationChannel>>,
    public: OutboundClient,
    anywhere: OutboundClient,
}

impl Sender {
    /// By these channels.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(channels: &[NotificationChannel]) -> Result<Self, String> {
        install_tls_provider();
        let channels = channels.iter().map(|channel| (channel.name.clone(), channel.clone())).collect();
        let (public, anywhere) =
            (OutboundClient::new(AddressScope::Public)?, OutboundClient::new(AddressScope::Anywhere)?);
        Ok(Self { channels: Arc::new(channels), public, anywhere })
    }

    /// The channels, by name.
    pub fn channels(&self) -> impl Iterator<Item = &NotificationChannel> {
        self.channels.values()
    }

    /// Sends a message by a channel.
    pub async fn send(&self, channel: &str, message: &Message, now: EventTime) -> SendResult {
        let Some(channel) = self.channels.get(channel) else {
            return SendResult::Refused("the settings have no such channel any more".into());
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
            return SendResult::Refused("the URL or a header of it cannot be sent".into());
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
            408 | 425 | 429 | 500..=599 => SendResult::RetryLater(format!("it answers {status}: {excerpt}")),
            _ => SendResult::Refused(format!("it answers {status}: {excerpt}")),
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

/// The headers of Standard Webhooks (standardwebhooks.com): the signature covers the id and the time, so that neither can be changed
/// and a receiver can refuse what is old or known.
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

/// An id of 128 bits for any text.
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
    // A repeat has the same id, by which mail programs know it.
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
        // Worked out with openssl: echo -n 'msg_….1.{}' | openssl dgst -sha256 -hmac key.
        let [id, time, signed] = signature(b"key", "x", EventTime::from_millis(1_000), "{}");
        assert_eq!((id.1.as_str(), time.1.as_str()), ("msg_2d711642b726b04401627ca9fbac32f5", "1"));
        assert_eq!(signed.1, "v1,Le62E8Us1qb39qJhzgnDl97MuVM7BDjEpFtbl2CXW3o=");
    }
}
