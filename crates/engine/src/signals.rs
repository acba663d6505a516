//! Builds the signals that a conversation sends to its brand's dispatchers.

use std::fmt;

use firewatch_domain::{
    Action, ActionContext, ActionKind, Body, ConversationChange, ConversationUpdate, Event, EventTime, Post,
    SCHEMA_VERSION, Signal, SignalBody,
};
use firewatch_escalation::UNLISTED_BRAND;
use firewatch_scoring::short_hash;

use crate::Effect;
use crate::conversation::Conversation;

/// The task's position in its stream while it processes a record. Every signal takes its source and time
/// bounds from it.
#[derive(Clone, Copy)]
pub(crate) struct Stamp<'a> {
    /// The partition of the events topic.
    pub partition: u32,
    /// The last watermark sent to the brands; no signal has an earlier time.
    pub watermark: EventTime,
    /// Stream time; no signal has a later time.
    pub now: EventTime,
    /// The W3C trace context of the record, if any.
    pub trace: Option<&'a str>,
}

/// The record that caused a signal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cause<'a> {
    pub conversation: &'a str,
    pub id: &'a str,
    pub at: EventTime,
    /// The post that it holds, with the platform.
    pub post: Option<(&'a Post, Option<&'a str>)>,
}

impl<'a> From<&'a Event> for Cause<'a> {
    fn from(event: &'a Event) -> Self {
        let post = match &event.body {
            Body::Post(post) => Some((&**post, event.platform.as_deref())),
            _ => None,
        };
        Self { conversation: &event.conversation, id: &event.id, at: event.at, post }
    }
}

impl<'a> From<&'a Action> for Cause<'a> {
    fn from(action: &'a Action) -> Self {
        Self { conversation: &action.conversation, id: &action.id, at: action.at, post: None }
    }
}

/// Emits a person's action to every dispatcher that knows of the conversation.
pub(crate) fn emit_action(
    conversation: &Conversation,
    action: &Action,
    stamp: &Stamp<'_>,
    out: &mut Vec<Effect>,
) {
    let Some(signaled) = conversation.signaled.as_ref() else { return };
    let brand = conversation.brand.as_deref().filter(|_| !signaled.is_unlisted).unwrap_or(UNLISTED_BRAND);
    for state in signaled.slots() {
        out.extend(
            action_signal(action, state.slot, brand, stamp).map(|signal| Effect::Signal(Box::new(signal))),
        );
    }
}

/// Emits a person's action to the dispatchers of the brands that it may be about: on a storm, group, digest or silence
/// notice, or on a conversation that is no longer followed. The dispatcher that does not know the incident ignores it.
pub(crate) fn emit_action_to<'a>(
    brands: &(impl Iterator<Item = &'a str> + Clone),
    slots: impl Iterator<Item = u32>,
    action: &Action,
    stamp: &Stamp<'_>,
    out: &mut Vec<Effect>,
) {
    for slot in slots {
        for brand in brands.clone() {
            let signal = action_signal(action, slot, brand, stamp);
            out.extend(signal.map(|signal| Effect::Signal(Box::new(signal))));
        }
    }
}

/// Builds the signal of an action; `None` for a verdict, which changes nothing. Its time is the source's last
/// watermark: the dispatcher applies it once the windows before are decided, and waits for no later one.
fn action_signal(action: &Action, slot: u32, brand: &str, stamp: &Stamp<'_>) -> Option<Signal> {
    let context = ActionContext {
        at: action.at.min(stamp.now),
        team: action.team.clone(),
        escalation: action.escalation.clone(),
    };
    let update = ConversationUpdate {
        conversation: action.conversation.clone(),
        change: change_from_action(action)?,
        by: action.by.clone(),
        action: Some(context),
        trace: stamp.trace.map(Into::into),
    };
    Some(Signal {
        v: SCHEMA_VERSION,
        id: signal_id(slot, format_args!("{}/{}", action.conversation, action.id)),
        brand: brand.into(),
        at: stamp.watermark,
        source: stamp.partition,
        slot,
        body: SignalBody::ConversationUpdated(update),
    })
}

/// Emits a change to every dispatcher that knows of the conversation; `by` is the account that made it.
pub(crate) fn emit_update(
    conversation: &Conversation,
    change: &ConversationChange,
    by: &str,
    cause: Cause<'_>,
    stamp: &Stamp<'_>,
    out: &mut Vec<Effect>,
) {
    for state in conversation.signaled.iter().flat_map(|signaled| signaled.slots()) {
        let (id, body) = update(state.slot, change, by, cause, stamp);
        out.extend(signal(conversation, state.slot, id, body, cause.at, stamp));
    }
}

/// Emits a change of a conversation that is no longer followed to the dispatchers of the brands that it may be about.
/// One whose escalation outlives the conversation applies it; the others ignore it.
pub(crate) fn emit_unfollowed_update<'a>(
    brands: &(impl Iterator<Item = &'a str> + Clone),
    slots: impl Iterator<Item = u32>,
    change: &ConversationChange,
    by: &str,
    cause: Cause<'_>,
    stamp: &Stamp<'_>,
    out: &mut Vec<Effect>,
) {
    for slot in slots {
        for brand in brands.clone() {
            let (id, body) = update(slot, change, by, cause, stamp);
            out.push(Effect::Signal(Box::new(stamped(brand, slot, id, body, cause.at, stamp))));
        }
    }
}

/// Returns the id and body of the signal of a change.
fn update(
    slot: u32,
    change: &ConversationChange,
    by: &str,
    cause: Cause<'_>,
    stamp: &Stamp<'_>,
) -> (String, SignalBody) {
    let update = ConversationUpdate {
        conversation: cause.conversation.into(),
        change: change.clone(),
        by: by.into(),
        action: None,
        trace: stamp.trace.map(Into::into),
    };
    let id = signal_id(slot, format_args!("{}/{}/done", cause.conversation, cause.id));
    (id, SignalBody::ConversationUpdated(update))
}

/// Builds a stamped signal; returns `None` before the conversation's first signal is due.
pub(crate) fn signal(
    conversation: &Conversation,
    slot: u32,
    id: String,
    body: SignalBody,
    at: EventTime,
    stamp: &Stamp<'_>,
) -> Option<Effect> {
    let signaled = conversation.signaled.as_ref()?;
    let brand = conversation.brand.as_deref().filter(|_| !signaled.is_unlisted);
    let signal = stamped(brand.unwrap_or(UNLISTED_BRAND), slot, id, body, at, stamp);
    Some(Effect::Signal(Box::new(signal)))
}

fn stamped(brand: &str, slot: u32, id: String, body: SignalBody, at: EventTime, stamp: &Stamp<'_>) -> Signal {
    Signal {
        v: SCHEMA_VERSION,
        id,
        brand: brand.into(),
        at: at.min(stamp.now).max(stamp.watermark),
        source: stamp.partition,
        slot,
        body,
    }
}

/// Returns a signal's id. Ids for different slots differ only in a prefix.
pub(crate) fn signal_id(slot: u32, id: fmt::Arguments<'_>) -> String {
    if slot == 0 { id.to_string() } else { format!("trial-{slot}/{id}") }
}

/// Returns the change that an action makes; `None` for a verdict, which only analysts use.
fn change_from_action(action: &Action) -> Option<ConversationChange> {
    Some(match action.kind {
        ActionKind::Acknowledge => ConversationChange::Acknowledged,
        ActionKind::Reply => ConversationChange::Answered,
        ActionKind::HandOff => ConversationChange::HandedOff,
        ActionKind::HandOver => ConversationChange::HandedOver { team: action.team.clone()? },
        ActionKind::Resolve => ConversationChange::Resolved,
        ActionKind::Reopen => ConversationChange::Reopened,
        ActionKind::Silence => ConversationChange::Silenced { until: action.until? },
        ActionKind::Unsilence => ConversationChange::Unsilenced,
        ActionKind::Undo => ConversationChange::Undone,
        ActionKind::Useful | ActionKind::Noise => return None,
    })
}

/// Hashes an author's handle, to link posts by one author across networks. Normalizes it first: removes the
/// server, converts to lower case, and keeps only letters and digits. Returns `None` if at most two bytes
/// remain.
pub(crate) fn cross_platform_author_hash(post: &Post, platform: Option<&str>) -> Option<u32> {
    let handle = post.author.as_ref()?.handle.as_deref()?.trim_start_matches('@');
    // The server follows an @. On Bluesky a handle is a domain whose first label is the name.
    let own = handle.split('@').next().unwrap_or(handle);
    let own = if platform == Some("bluesky") { own.split('.').next().unwrap_or(own) } else { own };
    let plain: String = own.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    (plain.len() > 2).then(|| short_hash(&plain))
}
