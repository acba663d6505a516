//! Builds the score records of a conversation.

use firewatch_domain::{EventTime, Reason, ReasonKind, SCHEMA_VERSION, Score, Tenths};
use firewatch_scoring::Explained;

use crate::conversation::Conversation;
use crate::signals::Cause;

/// Returns the score record of a conversation; its id is that of the conversation and the record.
pub(crate) fn score_record(
    conversation: &Conversation,
    cause: Cause<'_>,
    at: EventTime,
    explained: Explained,
) -> Score {
    let Explained { assessment, forecast, contributions, reasons } = explained;
    let reading = conversation.root.as_ref().map(|root| &root.reading);
    let prediction = reading.and_then(|reading| reading.prediction.ok());
    Score {
        v: SCHEMA_VERSION,
        id: format!("{}/{}", cause.conversation, cause.id),
        conversation: cause.conversation.into(),
        brand: conversation.brand.as_deref().map(Into::into),
        url: conversation.post_url(),
        author_url: conversation.author_url(),
        at,
        risk: assessment.risk,
        risk_low: assessment.low,
        risk_high: assessment.high,
        complaint: assessment.complaint as f32,
        viral: assessment.viral as f32,
        sentiment: prediction.map(|prediction| prediction.sentiment),
        arousal: prediction.map(|prediction| prediction.arousal),
        flags: reading.map_or_else(Vec::new, |reading| reading.flags.clone()),
        reach: assessment.reach,
        velocity: conversation.cascade.velocity(),
        forecast: forecast.to_record(&conversation.cascade),
        engagements: conversation.cascade.counts(),
        reasons,
        contributions,
    }
}

/// Returns the last score of a conversation whose root was deleted: the remaining numbers, without text.
pub(crate) fn deleted_score(conversation: &Conversation, cause: Cause<'_>) -> Score {
    Score {
        v: SCHEMA_VERSION,
        id: format!("{}/{}", cause.conversation, cause.id),
        conversation: cause.conversation.into(),
        brand: conversation.brand.as_deref().map(Into::into),
        url: None,
        author_url: None,
        at: conversation.last_seen().unwrap_or(cause.at),
        risk: Tenths::default(),
        risk_low: Tenths::default(),
        risk_high: Tenths::default(),
        complaint: 0.0,
        viral: 0.0,
        sentiment: None,
        arousal: None,
        flags: vec![],
        reach: conversation.cascade.audience().reach(),
        velocity: conversation.cascade.velocity(),
        forecast: vec![],
        engagements: conversation.cascade.counts(),
        reasons: vec![Reason::new(ReasonKind::Deleted, "the post was deleted; its text has been erased")]
            .into(),
        contributions: vec![],
    }
}
