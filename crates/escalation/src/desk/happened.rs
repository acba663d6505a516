//! What is done about a case, and what is told of that.

use firewatch_domain::{Channel, EscalationState, EventTime, Happened, News, What};

use super::case::{Asked, Case};
use super::clock::words;
use super::tell::{NoteKind, Of, Telling};
use super::{Desk, PartKey};
use crate::policy::hours;

impl Desk {
    /// Takes in what was done about a case; what nobody knows of needs nothing done about it.
    pub(super) fn happened(&mut self, happened: Happened, at: EventTime, out: &mut Telling<'_>) {
        let Happened { conversation: id, what, by, trace } = happened;
        let Some(mut case) = self.cases.remove(&id) else { return };
        case.trace = trace.or(case.trace);
        if matches!(what, What::Deleted { .. }) {
            self.head.twins.forget(&id);
            self.changed.insert(PartKey::Head);
        }
        let is_over = matches!(what, What::Expired { .. } | What::Deleted { all: true });
        case.happened(&id, what, (&by, at), out);
        if is_over {
            self.cases.insert(id.clone(), case);
            self.drop_case(&id);
        } else {
            self.put_back(id, case, out.policy);
        }
    }
}

impl Case {
    fn happened(&mut self, id: &str, what: What, (by, at): (&str, EventTime), out: &mut Telling<'_>) {
        use EscalationState as State;
        match what {
            What::Acknowledged => {
                out.move_all(id, self, State::Acknowledged, &format!("acknowledged by {by}"));
            }
            What::Answered => {
                let late = self.answer(at, out);
                out.move_all(id, self, State::Answered, &format!("answered in public by {by}{late}"));
            }
            What::HandOffAsked { channels } => {
                let late = self.answer(at, out);
                let deadline = hours::after(out.terms().hours.as_ref(), at, out.terms().hand_off);
                self.asked = Some(Asked { at, by: deadline, told: false });
                let reason = format!("{by} asked to go on {}{late}", in_words(&channels));
                out.move_all(id, self, State::HandOffAsked, &reason);
            }
            What::HandedOff => {
                self.asked = None;
                let late = self.answer(at, out);
                out.move_all(id, self, State::HandedOff, &format!("goes on in private, by {by}{late}"));
            }
            What::TakenUp if self.asked.is_none() => {}
            What::TakenUp => {
                self.asked = None;
                out.move_all(id, self, State::HandedOff, "goes on in private, says a reply");
            }
            What::Resolved => {
                // What waits to be told needs nobody any more.
                self.routes.iter_mut().for_each(|on| (on.due, on.settled) = (None, true));
                out.move_all(id, self, State::Resolved, &format!("resolved by {by}"));
            }
            What::Reopened => out.move_all(id, self, State::Reopened, &format!("reopened by {by}")),
            What::Silenced { until } => {
                out.note(NoteKind::Silenced, id, || format!("silenced until {until} by {by}"));
                self.silenced_until = Some(until);
            }
            What::HandedOver { team } => {
                self.hand_over(id, &team, &format!("handed over to {team} by {by}"), out);
            }
            What::Edited { excerpt } => self.excerpt = excerpt,
            What::Deleted { all } => {
                self.forget_words(all);
                if all {
                    out.move_all(
                        id,
                        self,
                        State::Expired,
                        "the post was deleted, and what it said is forgotten",
                    );
                }
            }
            What::Expired { reason } => out.move_all(id, self, State::Expired, &reason),
        }
    }

    /// Drops what a post said: of its first one, or of the answer that it was told of for.
    fn forget_words(&mut self, first: bool) {
        self.reasons.clear();
        self.contributions.clear();
        self.topics.clear();
        self.near = None;
        if first {
            self.excerpt = None;
        }
    }

    /// The brand has spoken. How late that is, in words; nothing when it had spoken before.
    fn answer(&mut self, at: EventTime, out: &Telling<'_>) -> String {
        if self.answered.is_some() {
            return String::new();
        }
        self.answered = Some(at);
        self.lives.iter_mut().for_each(|life| life.late_at = None);
        for on in self.routes.iter_mut().filter(|on| on.due.is_some()) {
            if out.policy.routes.get(&on.route).is_some_and(|route| route.unless_answered) {
                // It needs to wait no longer to be told that nobody needs to be told.
                on.due = Some(at);
            }
        }
        let terms = out.terms();
        let Some(from) = self.began.and(self.posted_at.or(self.began)) else { return String::new() };
        let (took, target) = (hours::between(terms.hours.as_ref(), from, at), terms.first_response);
        let business = if terms.hours.is_some() { " in business hours" } else { "" };
        let verdict = if took <= target { "within" } else { "later than" };
        format!(", after {}{business}, {verdict} the {} of the target", words(took), words(target))
    }

    /// Gives every escalation that is not over to a team; that one and the one before are told.
    pub(super) fn hand_over(&mut self, id: &str, to: &str, reason: &str, out: &mut Telling<'_>) {
        if !out.policy.teams.contains_key(to) {
            return;
        }
        for i in 0..self.lives.len() {
            let life = &mut self.lives[i];
            if life.state.is_final() || life.owner == to {
                continue;
            }
            let before = std::mem::replace(&mut life.owner, to.to_owned());
            life.told(out.now);
            let mut record = out.record(
                Of { id, case: self, life: &self.lives[i] },
                News::HandedOver,
                vec![reason.to_owned()],
            );
            record.handed_over_by = Some(before);
            out.told.push(record);
        }
    }
}

fn in_words(channels: &[Channel]) -> String {
    let names = channels.iter().map(|channel| match channel {
        Channel::Dm => "by direct message",
        Channel::Email => "by e-mail",
        Channel::Phone => "by phone",
    });
    names.collect::<Vec<_>>().join(" or ")
}
