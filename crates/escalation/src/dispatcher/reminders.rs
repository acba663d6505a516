//! Emits what time alone brings: overdue answers, forgotten and unacknowledged escalations, stalled hand-offs,
//! and the next tier.
//!
//! A silence and the quiet hours of the team that would be notified hold all of them back.

use firewatch_domain::{EscalationChange, EscalationState, EventTime, IncidentId};

use super::Dispatcher;
use super::deadlines::{describe_target, format_duration};
use super::emitter::{Emitter, EscalationRef};
use super::incident::Incident;
use super::verdict::{Suppression, quiet, silence};
use crate::Lifecycle;
use crate::lifecycle::AnswerClock;
use crate::policy::Policy;

/// A reminder to the owner of an escalation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reminder {
    /// The first answer is overdue.
    Late,
    /// Members of a group or digest are overdue.
    MembersLate,
    /// Acknowledged, and no progress since.
    Forgotten,
    /// A requested hand-off has not followed.
    Stalled,
    /// Unacknowledged for the repeat interval.
    Waits,
}

/// Returns the reminders of a live escalation that are due.
fn due_reminders(
    incident: &Incident,
    lifecycle: &Lifecycle,
    now: EventTime,
    policy: &Policy,
) -> Vec<Reminder> {
    let members_late = incident.details.collection().and_then(|collection| collection.report_at);
    let all = [
        (lifecycle.answer_clock.runs_out_at(), Reminder::Late),
        (members_late, Reminder::MembersLate),
        (lifecycle.forgotten_at(policy), Reminder::Forgotten),
        (lifecycle.stalls_at(incident), Reminder::Stalled),
        (lifecycle.repeat_at(policy), Reminder::Waits),
    ];
    let is_due = |at: Option<EventTime>| at.is_some_and(|at| at <= now);
    all.into_iter().filter(|(at, _)| is_due(*at)).map(|(_, reminder)| reminder).collect()
}

impl Dispatcher {
    /// Emits the due reminders of an incident, and hands over to the next tier; or holds them back.
    pub(super) fn remind(&mut self, id: &IncidentId, incident: &mut Incident, out: &mut Emitter<'_>) {
        for i in 0..incident.lifecycles.len() {
            if !incident.lifecycles[i].is_live() {
                continue;
            }
            let due = due_reminders(incident, &incident.lifecycles[i], out.now, out.policy);
            if !due.is_empty() && !incident.holds_reminders(id, i, out) {
                // What waits was reminded of by the others.
                let is_alone = due.len() == 1;
                for reminder in due.into_iter().filter(|one| is_alone || *one != Reminder::Waits) {
                    self.emit_reminder(id, incident, i, reminder, out);
                }
            }
            let tier_at = incident.lifecycles[i].next_tier_at(out.policy);
            if tier_at.is_some_and(|at| at <= out.now) {
                self.next_tier(id, incident, i, out);
            }
        }
    }

    fn emit_reminder(
        &self,
        id: &IncidentId,
        incident: &mut Incident,
        i: usize,
        reminder: Reminder,
        out: &mut Emitter<'_>,
    ) {
        let now = out.now;
        let lifecycle = &mut incident.lifecycles[i];
        let (change, happened) = match reminder {
            Reminder::MembersLate => return self.report_overdue(id, incident, out),
            Reminder::Late => {
                lifecycle.answer_clock = AnswerClock::Overdue;
                lifecycle.record_step(now);
                let target = describe_target(out.brand_policy());
                (EscalationChange::Late, format!("no public answer within {target}"))
            }
            Reminder::Forgotten => {
                let since = format_duration(now - lifecycle.notified_at);
                lifecycle.move_to(EscalationState::Reopened, now);
                (EscalationChange::Moved, format!("acknowledged, but no progress for {since}"))
            }
            Reminder::Stalled => {
                lifecycle.stalled = true;
                lifecycle.record_step(now);
                let asked = incident.conversation().and_then(|conversation| conversation.hand_off_request);
                let since = asked.map(|request| format_duration(now - request.at)).unwrap_or_default();
                let happened = format!("asked to continue in private {since} ago; nothing has followed");
                (EscalationChange::Stalled, happened)
            }
            Reminder::Waits => {
                let since = format_duration(now - lifecycle.open_since);
                lifecycle.record_step(now);
                (EscalationChange::Waits, format!("unacknowledged for {since}"))
            }
        };
        let escalation = EscalationRef { id, incident, lifecycle: &incident.lifecycles[i] };
        out.emit_step(escalation, change, happened);
    }

    /// Hands an unacknowledged escalation to the last tier whose time has come and whose team may be notified now.
    fn next_tier(&mut self, id: &IncidentId, incident: &mut Incident, i: usize, out: &mut Emitter<'_>) {
        let lifecycle = &incident.lifecycles[i];
        let tiers = out.policy.teams.get(&lifecycle.tiers_of).map_or(&[][..], |team| &team.tiers);
        let ahead = tiers.get(lifecycle.tier..).unwrap_or_default();
        let (due, later) =
            ahead.split_at(ahead.partition_point(|tier| lifecycle.open_since + tier.after <= out.now));
        let Some(awake) = due.iter().rposition(|tier| incident.held_until(i, &tier.team, out).is_none())
        else {
            let mut retry = later.first().map(|tier| lifecycle.open_since + tier.after);
            for tier in due {
                let Some((until, suppression)) = incident.held_until(i, &tier.team, out) else { continue };
                out.record_suppression(&suppression, id, &tier.team);
                retry = Some(retry.map_or(until, |retry| retry.min(until)));
            }
            incident.lifecycles[i].tier_held_until = retry;
            return;
        };
        let tier = &due[awake];
        let lifecycle = &mut incident.lifecycles[i];
        lifecycle.tier += awake + 1;
        if lifecycle.owner == tier.team {
            return;
        }
        // The time is that since the opening, so it is not that of a later owner.
        let by = if lifecycle.owner == lifecycle.team { &*lifecycle.owner } else { "anybody" };
        let after = format_duration(tier.after);
        let happened = format!("not acknowledged by {by} within {after}: {} owns it now", tier.team);
        let previous = std::mem::replace(&mut lifecycle.owner, tier.team.clone());
        lifecycle.record_step(out.now);
        // The new owner may be awake.
        let team = lifecycle.team.clone();
        incident.release(Some(&team), out.now, out.policy);
        out.emit_hand_over(
            EscalationRef { id, incident, lifecycle: &incident.lifecycles[i] },
            previous,
            happened,
        );
    }
}

impl Incident {
    /// Returns whether a silence or the owner's quiet hours hold reminders back, and stores until when.
    pub(super) fn holds_reminders(&mut self, id: &IncidentId, i: usize, out: &mut Emitter<'_>) -> bool {
        let owner = self.lifecycles[i].owner.clone();
        let held = self.held_until(i, &owner, out);
        if let Some((_, suppression)) = &held {
            out.record_suppression(suppression, id, &owner);
        }
        self.lifecycles[i].reminders_held_until = held.as_ref().map(|(until, _)| *until);
        held.is_some()
    }

    /// Returns until when a silence or the quiet hours of a team hold back what is due for it.
    fn held_until(&self, i: usize, team: &str, out: &Emitter<'_>) -> Option<(EventTime, Suppression)> {
        let lifecycle = &self.lifecycles[i];
        silence(self, &lifecycle.team, out.now, out.policy)
            .or_else(|| quiet(team, lifecycle.level, out.now, out.policy))
    }
}
