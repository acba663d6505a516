//! Applies answers and people's actions to an incident, and emits the changes.

use firewatch_domain::{
    Channel, ConversationChange, ConversationUpdate, EscalationState, EventTime, IncidentId,
};

use super::Dispatcher;
use super::actions::Change;
use super::deadlines::format_duration;
use super::emitter::{DecisionKind, Emitter};
use super::incident::{Details, HandOffRequest, Incident};
use crate::lifecycle::AnswerClock;
use crate::policy::hours;

impl Dispatcher {
    /// Applies an update to its incident. One about an unknown incident changes nothing.
    pub(super) fn apply_update(&mut self, update: ConversationUpdate, at: EventTime, out: &mut Emitter<'_>) {
        let ConversationUpdate { conversation, change, by, action, trace } = update;
        let Some(id) = self.incidents.find(&conversation) else {
            let unknown = IncidentId::conversation(conversation);
            out.record_decision(DecisionKind::NoChange, &unknown, || "no incident of this id".into());
            return;
        };
        let at = action.as_ref().map_or(at, |action| action.at);
        let made = Change { by: &by, at, scope: action.as_ref() };
        if matches!(change, ConversationChange::Answered | ConversationChange::HandedOff) {
            self.answer_members(&id, &change, &made, out);
        }
        let Some(mut incident) = self.incidents.check_out(&id) else { return };
        incident.trace = trace.or(incident.trace);
        if matches!(change, ConversationChange::Deleted { .. }) {
            self.core.cross_posts.forget(&conversation);
        }
        let is_over = matches!(change, ConversationChange::Deleted { is_root: true });
        incident.apply_change(&id, change, &made, out);
        let ended_digest = matches!(incident.details, Details::BudgetDigest { .. })
            && incident.lifecycles.iter().any(|lifecycle| !lifecycle.is_live());
        let is_over = is_over || self.is_finished(&id, &incident, out);
        self.incidents.check_in(&id, incident, out.policy);
        if is_over {
            self.remove_finished(&id, out);
        } else if ended_digest {
            self.close_budget_digest(&id);
        }
        self.close_ended_groups();
    }

    /// Applies to each conversation of a group or digest that a person has answered all of them.
    fn answer_members(
        &mut self,
        id: &IncidentId,
        change: &ConversationChange,
        made: &Change<'_>,
        out: &mut Emitter<'_>,
    ) {
        let made = Change { scope: None, ..*made };
        for member in self.listed_in(id) {
            let Some(mut incident) = self.incidents.check_out(&member) else { continue };
            incident.apply_change(&member, change.clone(), &made, out);
            self.incidents.check_in(&member, incident, out.policy);
            self.remove_if_ended(&member, out);
        }
    }

    /// Returns the conversations of a group or digest.
    fn listed_in(&self, id: &IncidentId) -> Vec<IncidentId> {
        match self.incidents.get(id).map(|incident| &incident.details) {
            Some(Details::BudgetDigest { team, .. }) => {
                self.incidents.waiting(team).into_iter().flatten().map(|one| one.id.clone()).collect()
            }
            _ => self.incidents.members_of(id),
        }
    }

    /// Resolves an incident, and removes it.
    pub(super) fn end_incident(&mut self, id: &IncidentId, happened: &str, out: &mut Emitter<'_>) {
        if let Some(mut incident) = self.incidents.check_out(id) {
            out.move_all(id, &mut incident, EscalationState::Resolved, happened);
            self.incidents.check_in(id, incident, out.policy);
            self.incidents.remove(id);
        }
    }
}

impl Incident {
    fn apply_change(
        &mut self,
        id: &IncidentId,
        change: ConversationChange,
        made: &Change<'_>,
        out: &mut Emitter<'_>,
    ) {
        use EscalationState as State;
        let by = made.by;
        match change {
            ConversationChange::Acknowledged => self.acknowledge(id, made, out),
            ConversationChange::Answered => {
                let late = self.record_answer(made.at, out);
                self.move_answered(id, State::Answered, "answered in public", &late, made, out);
            }
            ConversationChange::HandOffAsked { channels } => {
                let late = self.record_answer(made.at, out);
                self.ask_hand_off(made.at, out);
                let happened = format!("{by} asked to continue {}{late}", describe_channels(&channels));
                out.move_all(id, self, State::HandOffAsked, &happened);
            }
            ConversationChange::HandedOff => {
                self.end_hand_off_request();
                let late = self.record_answer(made.at, out);
                self.move_answered(id, State::HandedOff, "handed off to a private channel", &late, made, out);
            }
            ConversationChange::HandOffAccepted => {
                if self.end_hand_off_request() {
                    out.move_all(id, self, State::HandedOff, "continues in private, according to a reply");
                }
            }
            ConversationChange::Resolved => self.resolve(id, made, out),
            ConversationChange::Reopened => self.reopen(id, made, out),
            ConversationChange::Silenced { until } => self.silence(id, until, made, out),
            ConversationChange::Unsilenced => self.unsilence(id, made, out),
            ConversationChange::HandedOver { team } => self.hand_over(id, &team, made, out),
            ConversationChange::Undone => self.undo(id, made, out),
            ConversationChange::Edited { excerpt } => {
                if let Some(conversation) = self.conversation_mut() {
                    conversation.excerpt = excerpt;
                }
            }
            ConversationChange::Deleted { is_root } => {
                self.erase_text(is_root);
                if is_root {
                    out.move_all(id, self, State::Expired, "the post was deleted; its text has been erased");
                }
            }
            ConversationChange::Expired { reason } => self.expire(id, reason, out),
        }
    }

    /// Moves the escalations to a state of an answer. An action on one that cannot move changes nothing.
    fn move_answered(
        &mut self,
        id: &IncidentId,
        state: EscalationState,
        happened: &str,
        late: &str,
        made: &Change<'_>,
        out: &mut Emitter<'_>,
    ) {
        let before: Vec<_> = self.lifecycles.iter().map(|lifecycle| lifecycle.state).collect();
        out.move_all(id, self, state, &format!("{happened} by {}{late}", made.by));
        for i in self.meant(id, made).into_iter().filter(|_| made.scope.is_some()) {
            if self.lifecycles[i].state == before[i] {
                let problem = format!("not {happened} by {}: it is {}", made.by, before[i].describe());
                self.report_no_change(id, i, made, problem, out);
            }
        }
    }

    /// Erases text of a deleted post. The excerpt is that of the root post, so it goes only with that.
    fn erase_text(&mut self, is_root: bool) {
        self.reasons.retain(|reason| !reason.kind.quotes_post());
        self.topics.clear();
        if is_root {
            self.links = None;
        }
        if let Some(conversation) = self.conversation_mut() {
            conversation.contributions.clear();
            conversation.sim_hash = None;
            if is_root {
                conversation.excerpt = None;
            }
        }
    }

    fn ask_hand_off(&mut self, at: EventTime, out: &Emitter<'_>) {
        let brand = out.brand_policy();
        let deadline = hours::after(brand.hours.as_ref(), at, brand.hand_off);
        if let Some(conversation) = self.conversation_mut() {
            conversation.hand_off_request = Some(HandOffRequest { at, deadline });
        }
        self.lifecycles.iter_mut().for_each(|lifecycle| lifecycle.stalled = false);
    }

    /// Ends the brand's request to continue in private. Returns whether there was one.
    fn end_hand_off_request(&mut self) -> bool {
        self.conversation_mut().and_then(|conversation| conversation.hand_off_request.take()).is_some()
    }

    /// Records the brand's first answer. Returns how long it took, in plain words; empty for later answers.
    fn record_answer(&mut self, at: EventTime, out: &Emitter<'_>) -> String {
        self.lifecycles.iter_mut().for_each(|lifecycle| lifecycle.answer_clock = AnswerClock::Off);
        let posted_at = self.posted_at;
        let Some(conversation) = self.conversation_mut() else { return String::new() };
        if conversation.answered_at.is_some() {
            return String::new();
        }
        conversation.answered_at = Some(at);
        conversation.memberships.iter_mut().for_each(|membership| membership.respond_by = None);
        let from = posted_at.unwrap_or(conversation.began);
        let waiting = self.routes.iter_mut().filter(|active| active.due.is_some());
        // Decide now that nobody has to be notified.
        waiting.filter(|active| active.waits_for_answer(out.policy)).for_each(|active| active.due = Some(at));
        let terms = out.brand_policy();
        let (took, target) = (hours::between(terms.hours.as_ref(), from, at), terms.first_response);
        let business = if terms.hours.is_some() { " in business hours" } else { "" };
        let verdict = if took <= target { "within" } else { "later than" };
        format!(
            ", after {}{business}, {verdict} the target of {}",
            format_duration(took),
            format_duration(target)
        )
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
