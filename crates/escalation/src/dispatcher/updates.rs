//! Applies actions and answers to an incident, and emits the changes.

use firewatch_domain::{
    Channel, ConversationChange, ConversationUpdate, EscalationChange, EscalationState, EventTime,
};

use super::deadlines::format_duration;
use super::emitter::{DecisionKind, Emitter, EscalationRef};
use super::incident::{HandOffRequest, Incident};
use super::{Dispatcher, StatePartKey};
use crate::policy::hours;

impl Dispatcher {
    /// Applies an update to its incident. Updates of unknown incidents are ignored.
    pub(super) fn apply_update(&mut self, update: ConversationUpdate, at: EventTime, out: &mut Emitter<'_>) {
        let ConversationUpdate { conversation: id, change, by, trace } = update;
        let Some(mut incident) = self.incidents.remove(&id) else { return };
        incident.trace = trace.or(incident.trace);
        if matches!(change, ConversationChange::Deleted { .. }) {
            self.core.cross_posts.forget(&id);
            self.changed.insert(StatePartKey::Core);
        }
        let is_over = matches!(
            change,
            ConversationChange::Expired { .. } | ConversationChange::Deleted { is_root: true }
        );
        incident.apply_change(&id, change, &by, at, out);
        if is_over {
            self.incidents.insert(id.clone(), incident);
            self.remove_incident(&id);
        } else {
            self.put_back(id, incident, out.policy);
        }
    }
}

impl Incident {
    fn apply_change(
        &mut self,
        id: &str,
        change: ConversationChange,
        by: &str,
        at: EventTime,
        out: &mut Emitter<'_>,
    ) {
        use EscalationState as State;
        match change {
            ConversationChange::Acknowledged => {
                out.move_all(id, self, State::Acknowledged, &format!("acknowledged by {by}"));
            }
            ConversationChange::Answered => {
                let late = self.record_answer(at, out);
                out.move_all(id, self, State::Answered, &format!("answered in public by {by}{late}"));
            }
            ConversationChange::HandOffAsked { channels } => {
                let late = self.record_answer(at, out);
                let deadline =
                    hours::after(out.brand_policy().hours.as_ref(), at, out.brand_policy().hand_off);
                self.hand_off_request = Some(HandOffRequest { at, deadline, stall_notified: false });
                let reason = format!("{by} asked to continue {}{late}", describe_channels(&channels));
                out.move_all(id, self, State::HandOffAsked, &reason);
            }
            ConversationChange::HandedOff => {
                self.hand_off_request = None;
                let late = self.record_answer(at, out);
                out.move_all(
                    id,
                    self,
                    State::HandedOff,
                    &format!("handed off to a private channel by {by}{late}"),
                );
            }
            ConversationChange::HandOffAccepted if self.hand_off_request.is_none() => {}
            ConversationChange::HandOffAccepted => {
                self.hand_off_request = None;
                out.move_all(id, self, State::HandedOff, "continues in private, according to a reply");
            }
            ConversationChange::Resolved => {
                // Nobody has to be notified of what is still due.
                self.routes.iter_mut().for_each(|active| (active.due, active.decided) = (None, true));
                out.move_all(id, self, State::Resolved, &format!("resolved by {by}"));
            }
            ConversationChange::Reopened => {
                out.move_all(id, self, State::Reopened, &format!("reopened by {by}"));
            }
            ConversationChange::Silenced { until } => {
                out.record_decision(DecisionKind::Silenced, id, || format!("silenced until {until} by {by}"));
                self.silenced_until = Some(until);
            }
            ConversationChange::HandedOver { team } => {
                self.hand_over(id, &team, &format!("handed over to {team} by {by}"), out);
            }
            ConversationChange::Edited { excerpt } => self.excerpt = excerpt,
            ConversationChange::Deleted { is_root: all } => {
                self.erase_text(all);
                if all {
                    out.move_all(id, self, State::Expired, "the post was deleted; its text has been erased");
                }
            }
            ConversationChange::Expired { reason } => out.move_all(id, self, State::Expired, &reason),
        }
    }

    /// Erases text of a deleted post. The excerpt is that of the root post, so it goes only with that.
    fn erase_text(&mut self, first: bool) {
        self.reasons.clear();
        self.contributions.clear();
        self.topics.clear();
        self.sim_hash = None;
        if first {
            self.excerpt = None;
        }
    }

    /// Records the brand's first answer. Returns how long it took, in plain words; empty for later answers.
    fn record_answer(&mut self, at: EventTime, out: &Emitter<'_>) -> String {
        if self.answered_at.is_some() {
            return String::new();
        }
        self.answered_at = Some(at);
        self.lifecycles.iter_mut().for_each(|lifecycle| lifecycle.overdue_at = None);
        for active in self.routes.iter_mut().filter(|active| active.due.is_some()) {
            if out.policy.routes.get(&active.route).is_some_and(|route| route.unless_answered) {
                // Decide now that nobody has to be notified.
                active.due = Some(at);
            }
        }
        let terms = out.brand_policy();
        let Some(from) = self.began.and(self.posted_at.or(self.began)) else { return String::new() };
        let (took, target) = (hours::between(terms.hours.as_ref(), from, at), terms.first_response);
        let business = if terms.hours.is_some() { " in business hours" } else { "" };
        let verdict = if took <= target { "within" } else { "later than" };
        format!(
            ", after {}{business}, {verdict} the target of {}",
            format_duration(took),
            format_duration(target)
        )
    }

    /// Makes a team the owner of every open escalation, and emits that to both owners.
    pub(super) fn hand_over(&mut self, id: &str, to: &str, reason: &str, out: &mut Emitter<'_>) {
        if !out.policy.teams.contains_key(to) {
            return;
        }
        for i in 0..self.lifecycles.len() {
            let lifecycle = &mut self.lifecycles[i];
            if lifecycle.state.is_final() || lifecycle.owner == to {
                continue;
            }
            let before = std::mem::replace(&mut lifecycle.owner, to.to_owned());
            lifecycle.record_step(out.now);
            let mut record = out.record(
                EscalationRef { id, incident: self, lifecycle: &self.lifecycles[i] },
                EscalationChange::HandedOver,
                vec![reason.to_owned()],
            );
            record.handed_over_by = Some(before);
            out.escalations.push(record);
        }
    }
}

fn describe_channels(channels: &[Channel]) -> String {
    let names = channels.iter().map(|channel| match channel {
        Channel::Dm => "by direct message",
        Channel::Email => "by e-mail",
        Channel::Phone => "by phone",
    });
    names.collect::<Vec<_>>().join(" or ")
}
