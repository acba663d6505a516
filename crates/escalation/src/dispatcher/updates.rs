//! Applies answers and people's actions to an incident, and emits the changes.

use firewatch_domain::{
    ActionContext, Channel, ConversationChange, ConversationUpdate, EscalationChange, EscalationState,
    EventTime, IncidentId,
};

use super::Dispatcher;
use super::deadlines::format_duration;
use super::emitter::{DecisionKind, Emitter, EscalationRef};
use super::incident::{ActiveRoute, Details, HandOffRequest, Incident};
use crate::Lifecycle;
use crate::lifecycle::Ended;
use crate::policy::hours;

/// A change with who made it and what it is about.
pub(super) struct Change<'a> {
    pub by: &'a str,
    pub at: EventTime,
    pub scope: Option<&'a ActionContext>,
}

impl Change<'_> {
    /// Returns whether it is about the escalations of one team only.
    pub(super) fn is_of_one_team(&self) -> bool {
        self.scope.is_some_and(|scope| scope.team.is_some() || scope.escalation.is_some())
    }
}

/// What became of an action on one escalation.
enum Applied {
    Moved,
    /// Its state does not allow the action.
    NotAllowed,
    /// Something else stands against it, which the team has to know.
    Refused(String),
}

impl Applied {
    fn from_moved(moved: bool) -> Self {
        if moved { Self::Moved } else { Self::NotAllowed }
    }
}

impl Dispatcher {
    /// Applies an update to its incident. One about an unknown incident changes nothing.
    pub(super) fn apply_update(&mut self, update: ConversationUpdate, at: EventTime, out: &mut Emitter<'_>) {
        let ConversationUpdate { conversation, change, by, action, trace } = update;
        let Some(id) = self.incidents.find(&conversation) else {
            let unknown = IncidentId::conversation(conversation);
            out.record_decision(DecisionKind::NoChange, &unknown, || "no incident of this id".into());
            return;
        };
        let Some(mut incident) = self.incidents.check_out(&id) else { return };
        incident.trace = trace.or(incident.trace);
        if matches!(change, ConversationChange::Deleted { .. }) {
            self.core.cross_posts.forget(&conversation);
        }
        let is_over = matches!(change, ConversationChange::Deleted { is_root: true });
        let is_answer = matches!(change, ConversationChange::Answered | ConversationChange::HandedOff)
            && !id.is_conversation();
        let at = action.as_ref().map_or(at, |action| action.at);
        let made = Change { by: &by, at, scope: action.as_ref() };
        incident.apply_change(&id, change, &made, out);
        let ended_digest = matches!(incident.details, Details::BudgetDigest { .. })
            && incident.lifecycles.iter().any(|lifecycle| !lifecycle.is_live());
        let is_over = is_over || incident.is_over();
        self.incidents.check_in(&id, incident, out.policy);
        if is_answer {
            self.stop_clocks(&id);
        }
        if is_over {
            self.incidents.remove(&id);
        } else if ended_digest {
            self.close_budget_digest(&id);
        }
        self.close_ended_groups();
    }

    /// Stops the clocks of a group's or digest's members, because a person answered all of them.
    fn stop_clocks(&mut self, id: &IncidentId) {
        for member in self.incidents.members_of(id) {
            self.incidents.edit(&member, |member| {
                let memberships = member.conversation_mut().map(|conversation| &mut conversation.memberships);
                let of_it = memberships.into_iter().flatten().filter(|membership| membership.of == *id);
                of_it.for_each(|membership| membership.respond_by = None);
            });
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
                out.move_all(id, self, State::Answered, &format!("answered in public by {by}{late}"));
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
                let happened = format!("handed off to a private channel by {by}{late}");
                out.move_all(id, self, State::HandedOff, &happened);
            }
            ConversationChange::HandOffAccepted => {
                if self.end_hand_off_request() {
                    out.move_all(id, self, State::HandedOff, "continues in private, according to a reply");
                }
            }
            ConversationChange::Resolved => self.resolve(id, made, out),
            ConversationChange::Reopened => {
                let happened = format!("reopened by {by}");
                self.act(id, made, &happened, "reopened", out, |lifecycle, at| {
                    Applied::from_moved(lifecycle.move_to(State::Reopened, at))
                });
                self.meant(id, made).into_iter().for_each(|i| self.reconsider(i, out));
            }
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

    /// Returns the places of the escalations that an action is about.
    pub(super) fn meant(&self, id: &IncidentId, made: &Change<'_>) -> Vec<usize> {
        let is_meant = |lifecycle: &Lifecycle| {
            let Some(scope) = made.scope else { return true };
            if let Some(wanted) = &scope.escalation {
                return EscalationRef { id, incident: self, lifecycle }.escalation_id() == *wanted;
            }
            scope.team.as_ref().is_none_or(|team| lifecycle.owner == *team || lifecycle.team == *team)
        };
        let all = self.lifecycles.iter().enumerate();
        all.filter(|(_, lifecycle)| is_meant(lifecycle)).map(|(i, _)| i).collect()
    }

    /// Applies a person's action to each escalation that it is about, and emits those that it changes. What it
    /// does can be undone.
    fn act(
        &mut self,
        id: &IncidentId,
        made: &Change<'_>,
        happened: &str,
        action: &str,
        out: &mut Emitter<'_>,
        apply: impl Fn(&mut Lifecycle, EventTime) -> Applied,
    ) {
        for i in self.meant(id, made) {
            let lifecycle = &mut self.lifecycles[i];
            let before = lifecycle.undo_point(made.by, action);
            match apply(lifecycle, out.now) {
                Applied::Moved => {
                    lifecycle.set_undo(before);
                    let escalation = EscalationRef { id, incident: self, lifecycle: &self.lifecycles[i] };
                    out.emit_step(escalation, EscalationChange::Moved, happened.to_owned());
                }
                Applied::Refused(why) => self.refuse(id, i, format!("not {happened}: {why}"), out),
                Applied::NotAllowed => {
                    let problem = format!("not {happened}: it is {}", lifecycle.state.describe());
                    self.report_no_change(id, i, made, problem, out);
                }
            }
        }
    }

    /// Acknowledges it, unless somebody else has: that is refused with who has it.
    fn acknowledge(&mut self, id: &IncidentId, made: &Change<'_>, out: &mut Emitter<'_>) {
        let happened = format!("acknowledged by {}", made.by);
        self.act(id, made, &happened, "acknowledged", out, |lifecycle, at| {
            if lifecycle.move_to(EscalationState::Acknowledged, at) {
                lifecycle.acknowledged_by = Some(made.by.to_owned());
                return Applied::Moved;
            }
            let is_taken = lifecycle.state == EscalationState::Acknowledged;
            match lifecycle.acknowledged_by.as_ref().filter(|other| is_taken && *other != made.by) {
                Some(other) => Applied::Refused(format!("{other} has it")),
                None => Applied::NotAllowed,
            }
        });
    }

    fn resolve(&mut self, id: &IncidentId, made: &Change<'_>, out: &mut Emitter<'_>) {
        let of_escalations = self.meant(id, made).into_iter();
        let mut meant: Vec<String> = of_escalations.map(|i| self.lifecycles[i].team.clone()).collect();
        meant.extend(made.scope.and_then(|scope| scope.team.clone()));
        let of_all = !made.is_of_one_team();
        // Nobody has to be notified of what is still due.
        let settled: Vec<bool> = self
            .routes
            .iter()
            .map(|active| {
                of_all || self.team(active, out.policy).is_some_and(|t| meant.iter().any(|m| m == t))
            })
            .collect();
        let mut routes = Vec::new();
        for (active, _) in self.routes.iter_mut().zip(settled).filter(|(_, settled)| *settled) {
            (active.due, active.decided, active.deferred) = (None, true, false);
            routes.push(active.route.clone());
        }
        self.leave(|membership| routes.contains(&membership.route));
        let happened = format!("resolved by {}", made.by);
        let ended = Ended { at: made.at, by_person: true };
        self.act(id, made, &happened, "resolved", out, |lifecycle, at| {
            let moved = lifecycle.move_to(EscalationState::Resolved, at);
            if moved {
                lifecycle.ended = Some(ended);
            }
            Applied::from_moved(moved)
        });
    }

    /// Makes a team the owner of the live escalations, and emits that to both owners.
    fn hand_over(&mut self, id: &IncidentId, to: &str, made: &Change<'_>, out: &mut Emitter<'_>) {
        // The action's team is the new owner, so only an escalation's id narrows it.
        let by_id = made.scope.filter(|scope| scope.escalation.is_some());
        let made = &Change { scope: by_id, ..*made };
        for i in self.meant(id, made) {
            let lifecycle = &mut self.lifecycles[i];
            let problem = if !out.policy.teams.contains_key(to) {
                Some(format!("no team is called {to:?}"))
            } else if !lifecycle.is_live() {
                Some(format!("it is {}", lifecycle.state.describe()))
            } else {
                (lifecycle.owner == to).then(|| format!("{to} has it"))
            };
            if let Some(problem) = problem {
                let problem = format!("not handed over by {}: {problem}", made.by);
                self.report_no_change(id, i, made, problem, out);
                continue;
            }
            let before = lifecycle.undo_point(made.by, "handed over");
            let previous = lifecycle.owner.clone();
            lifecycle.hand_over(to, out.now);
            lifecycle.set_undo(before);
            let escalation = EscalationRef { id, incident: self, lifecycle: &self.lifecycles[i] };
            out.emit_hand_over(escalation, previous, format!("handed over to {to} by {}", made.by));
        }
    }

    /// Takes back the last action on each escalation that it is about.
    fn undo(&mut self, id: &IncidentId, made: &Change<'_>, out: &mut Emitter<'_>) {
        for i in self.meant(id, made) {
            let (team, owner) = (self.lifecycles[i].team.clone(), self.lifecycles[i].owner.clone());
            let can_be_undone = self.lifecycles[i].undo.is_some();
            let Some(mut undone) = self.lifecycles[i].restore_undo(out.now) else {
                let why = if can_be_undone {
                    "something else has happened since"
                } else {
                    "there is no action to take back"
                };
                self.refuse(id, i, format!("not undone by {}: {why}", made.by), out);
                continue;
            };
            let change = match undone.all_silenced.take() {
                Some(before) => {
                    self.restore_silence(before);
                    EscalationChange::Silenced
                }
                None => EscalationChange::Moved,
            };
            self.release(Some(&team), out.now, out.policy);
            self.reconsider(i, out);
            let whose = if undone.by == made.by { String::new() } else { format!(" by {}", undone.by) };
            let happened = format!("{} took back: {}{whose}", made.by, undone.action);
            let lifecycle = &self.lifecycles[i];
            let escalation = EscalationRef { id, incident: self, lifecycle };
            if lifecycle.owner == owner {
                out.emit_step(escalation, change, happened);
            } else {
                out.emit_hand_over(escalation, owner, happened);
            }
        }
    }

    /// Reports an action that changes nothing. One that names the escalation is refused, as a person waits for its
    /// effect.
    pub(super) fn report_no_change(
        &mut self,
        id: &IncidentId,
        i: usize,
        made: &Change<'_>,
        problem: String,
        out: &mut Emitter<'_>,
    ) {
        if made.scope.is_some_and(|scope| scope.escalation.is_some()) {
            self.refuse(id, i, problem, out);
        } else {
            out.record_decision(DecisionKind::NoChange, id, || problem);
        }
    }

    /// Lets be decided again what is worse than a live escalation knows: it was dropped when a person ended it.
    fn reconsider(&mut self, i: usize, out: &Emitter<'_>) {
        let lifecycle = &self.lifecycles[i];
        let (team, level) = (lifecycle.team.clone(), lifecycle.level);
        if !lifecycle.is_live() {
            return;
        }
        let is_worse = |active: &ActiveRoute| {
            !active.lapsed
                && active.due.is_none()
                && active.level > level
                && self.team(active, out.policy) == Some(&team)
        };
        let worse: Vec<bool> = self.routes.iter().map(is_worse).collect();
        for (active, _) in self.routes.iter_mut().zip(worse).filter(|(_, is_worse)| *is_worse) {
            active.due = Some(out.now);
        }
    }

    /// Emits that an action was refused. Nothing else changes.
    pub(super) fn refuse(&mut self, id: &IncidentId, i: usize, happened: String, out: &mut Emitter<'_>) {
        self.lifecycles[i].count_step();
        let escalation = EscalationRef { id, incident: self, lifecycle: &self.lifecycles[i] };
        out.emit_step(escalation, EscalationChange::Refused, happened);
    }

    /// Erases text of a deleted post. The excerpt is that of the root post, so it goes only with that.
    fn erase_text(&mut self, is_root: bool) {
        self.reasons.retain(|reason| !reason.kind.quotes_post());
        self.topics.clear();
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
        self.lifecycles.iter_mut().for_each(|lifecycle| lifecycle.overdue_at = None);
        let posted_at = self.posted_at;
        let Some(conversation) = self.conversation_mut() else { return String::new() };
        if conversation.answered_at.is_some() {
            return String::new();
        }
        conversation.answered_at = Some(at);
        conversation.memberships.iter_mut().for_each(|membership| membership.respond_by = None);
        let from = posted_at.unwrap_or(conversation.began);
        for active in self.routes.iter_mut().filter(|active| active.due.is_some()) {
            let route = active.route.policy_name().and_then(|name| out.policy.routes.get(name));
            if route.is_some_and(|route| route.unless_answered) {
                // Decide now that nobody has to be notified.
                active.due = Some(at);
            }
        }
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
