//! Lifecycle of one escalation: its state, its owner, and which change may follow which.

use firewatch_domain::{EscalationState, EventTime, Level};
use serde::{Deserialize, Serialize};

use crate::RouteRef;

/// Lifecycle of the escalations of one incident and team. A new opening after the end is a new escalation
/// here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lifecycle {
    /// The team that it was opened for. It is part of the escalation's id.
    pub team: String,
    /// The team that owns it now.
    pub owner: String,
    /// Number of openings for this incident and team, including the present one.
    pub open_count: u32,
    /// Number of changes emitted since it was opened.
    pub step: u32,
    /// Present state.
    pub state: EscalationState,
    /// The highest level emitted.
    pub level: Level,
    /// The route that opened or raised it.
    pub route: RouteRef,
    /// The decisive reason that opened or raised it.
    pub reason: String,
    /// When its latest record was emitted, refusals left out.
    pub notified_at: EventTime,
    /// Since when it has been unacknowledged.
    pub open_since: EventTime,
    /// The team whose tiers it goes through: the one it was opened for, or was handed over to by a person.
    pub tiers_of: String,
    /// Number of these tiers it has passed.
    pub tier: usize,
    /// The clock of the first answer.
    pub answer_clock: AnswerClock,
    /// How it ended; `None` while it is live.
    pub ended: Option<Ended>,
    /// The person who acknowledged it.
    pub acknowledged_by: Option<String>,
    /// A person silenced it for its team until then.
    pub silenced_until: Option<EventTime>,
    /// When the reminders that are held back may be emitted.
    pub reminders_held_until: Option<EventTime>,
    /// When the next tier, held back now, may take over.
    pub tier_held_until: Option<EventTime>,
    /// The present request to continue in private was reported as stalled.
    pub stalled: bool,
    /// What `undo` would restore.
    pub undo: Option<Box<Undo>>,
}

/// The clock of the first answer, as an escalation shows it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AnswerClock {
    /// Nobody waits for an answer, or it came.
    #[default]
    Off,
    /// The answer is overdue at this time.
    Until(EventTime),
    /// The answer is overdue, and that was emitted.
    Overdue,
}

impl AnswerClock {
    /// Returns when the answer is overdue, while that is still to be emitted.
    pub(crate) fn runs_out_at(self) -> Option<EventTime> {
        match self {
            Self::Until(at) => Some(at),
            Self::Off | Self::Overdue => None,
        }
    }
}

/// The end of an escalation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// When it ended.
    pub at: EventTime,
    /// Whether a person ended it. If not, its conditions no longer held.
    pub by_person: bool,
}

/// A lifecycle before a person's last action, as far as `undo` restores it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    /// The person who acted.
    pub by: String,
    /// The action, in the past tense.
    pub action: String,
    /// The state after the action. Undo is refused once it is another.
    after: EscalationState,
    state: EscalationState,
    owner: String,
    open_since: EventTime,
    tiers_of: String,
    tier: usize,
    ended: Option<Ended>,
    acknowledged_by: Option<String>,
    silenced_until: Option<EventTime>,
    /// The silence of every team, if the action changed it.
    pub(crate) all_silenced: Option<AllSilenced>,
}

/// A person's silence for every team.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AllSilenced {
    pub until: Option<EventTime>,
    /// Teams for which it was ended.
    pub except: Vec<String>,
}

impl Undo {
    /// Adds the silence of every team to what is restored.
    pub(crate) fn with_silence(mut self: Box<Self>, before: AllSilenced) -> Box<Self> {
        self.all_silenced = Some(before);
        self
    }
}

/// Reason to open or raise an escalation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trigger {
    pub route: RouteRef,
    pub level: Level,
    pub reason: String,
    /// Since when the incident has been on the route.
    pub since: EventTime,
}

impl Lifecycle {
    /// Opens a first escalation.
    pub(crate) fn open(team: &str, trigger: &Trigger, at: EventTime) -> Self {
        Self {
            team: team.into(),
            owner: team.into(),
            open_count: 1,
            step: 0,
            state: EscalationState::Open,
            level: trigger.level,
            route: trigger.route.clone(),
            reason: trigger.reason.clone(),
            notified_at: at,
            open_since: at,
            tiers_of: team.into(),
            tier: 0,
            answer_clock: AnswerClock::Off,
            ended: None,
            acknowledged_by: None,
            silenced_until: None,
            reminders_held_until: None,
            tier_held_until: None,
            stalled: false,
            undo: None,
        }
    }

    /// Opens the next escalation after the previous one has ended.
    pub(crate) fn reopen(&mut self, trigger: &Trigger, at: EventTime) {
        let again = Self::open(&self.team, trigger, at);
        *self = Self { open_count: self.open_count + 1, state: EscalationState::Reopened, ..again };
    }

    /// Returns whether it has not ended.
    pub(crate) fn is_live(&self) -> bool {
        !self.state.is_final()
    }

    /// Returns whether the trigger is news to the team. While the escalation is live, only a higher level is.
    /// After its end, a route that began to match since is as well.
    pub(crate) fn is_news(&self, trigger: &Trigger) -> bool {
        let has_flared_up = self.ended.is_some_and(|ended| trigger.since >= ended.at);
        trigger.level > self.level || has_flared_up
    }

    /// Raises a live escalation.
    pub(crate) fn raise(&mut self, trigger: &Trigger, at: EventTime) {
        self.level = trigger.level;
        self.route = trigger.route.clone();
        self.reason.clone_from(&trigger.reason);
        self.record_step(at);
    }

    /// Counts a step whose record is emitted.
    pub(crate) fn record_step(&mut self, at: EventTime) {
        self.step += 1;
        self.notified_at = self.notified_at.max(at);
    }

    /// Counts a step that is no progress, such as a refused action: deadlines stay as they are.
    pub(crate) fn count_step(&mut self) {
        self.step += 1;
    }

    /// Moves to a state if it may follow the present one. Returns whether it moved.
    pub(crate) fn move_to(&mut self, state: EscalationState, at: EventTime) -> bool {
        use EscalationState::{
            Acknowledged, Answered, Expired, HandOffAsked, HandedOff, Open, Reopened, Resolved,
        };
        let allowed = match (self.state, state) {
            (Resolved, Reopened) => true,
            (Resolved | Expired, _) | (_, Open) => false,
            (Acknowledged, Reopened) => true,
            (_, Reopened) => false,
            (Open | Reopened, Acknowledged) | (Open | Reopened | Acknowledged, Answered | HandOffAsked) => {
                true
            }
            (Answered, HandOffAsked) => true,
            (from, HandedOff) => from != HandedOff,
            (_, Resolved | Expired) => true,
            _ => false,
        };
        if !allowed {
            return false;
        }
        if state == Reopened {
            self.open_since = at;
            self.acknowledged_by = None;
        }
        self.ended = state.is_final().then_some(Ended { at, by_person: false });
        self.state = state;
        self.record_step(at);
        true
    }

    /// Gives it to another team on a person's behalf. That team has not acknowledged it, and its own tiers
    /// begin.
    pub(crate) fn hand_over(&mut self, to: &str, at: EventTime) {
        to.clone_into(&mut self.owner);
        to.clone_into(&mut self.tiers_of);
        (self.tier, self.open_since) = (0, at);
        (self.reminders_held_until, self.tier_held_until) = (None, None);
        if self.state == EscalationState::Acknowledged {
            self.state = EscalationState::Open;
            self.acknowledged_by = None;
        }
        self.record_step(at);
    }

    /// Returns a copy of what `undo` restores after an action of `by`.
    pub(crate) fn undo_point(&self, by: &str, action: &str) -> Box<Undo> {
        Box::new(Undo {
            by: by.into(),
            action: action.into(),
            after: self.state,
            state: self.state,
            owner: self.owner.clone(),
            open_since: self.open_since,
            tiers_of: self.tiers_of.clone(),
            tier: self.tier,
            ended: self.ended,
            acknowledged_by: self.acknowledged_by.clone(),
            silenced_until: self.silenced_until,
            all_silenced: None,
        })
    }

    /// Stores what `undo` restores, once the action has been applied.
    pub(crate) fn set_undo(&mut self, mut point: Box<Undo>) {
        point.after = self.state;
        self.undo = Some(point);
    }

    /// Restores the lifecycle before the last action of a person. Returns that action, or `None` when there
    /// is none or something else has happened since.
    pub(crate) fn restore_undo(&mut self, at: EventTime) -> Option<Undo> {
        let point = *self.undo.take()?;
        if point.after != self.state {
            return None;
        }
        let undone = point.clone();
        self.state = point.state;
        self.owner = point.owner;
        self.open_since = point.open_since;
        self.tiers_of = point.tiers_of;
        self.tier = point.tier;
        self.ended = point.ended;
        self.acknowledged_by = point.acknowledged_by;
        self.silenced_until = point.silenced_until;
        (self.reminders_held_until, self.tier_held_until) = (None, None);
        self.record_step(at);
        Some(undone)
    }
}

#[cfg(test)]
mod tests {
    use firewatch_domain::Duration;

    use super::*;

    fn trigger(level: Level, since: EventTime) -> Trigger {
        Trigger { route: RouteRef::Policy("r".into()), level, reason: String::new(), since }
    }

    fn lifecycle() -> Lifecycle {
        Lifecycle::open("support", &trigger(Level::Low, EventTime::EARLIEST), EventTime::EARLIEST)
    }

    #[test]
    fn states_follow_in_order() {
        use EscalationState::{Acknowledged, Answered, HandOffAsked, HandedOff, Reopened, Resolved};
        let mut lifecycle = lifecycle();
        let mut go = |state| lifecycle.move_to(state, EventTime::EARLIEST);
        assert!(go(Acknowledged));
        assert!(!go(Acknowledged), "already acknowledged");
        assert!(go(HandOffAsked));
        assert!(go(HandedOff));
        assert!(!go(Answered), "the conversation is already private");
        assert!(!go(Reopened), "it has not ended yet");
        assert!(go(Resolved));
        assert!(!go(HandedOff));
        assert!(go(Reopened));
        assert!(go(Acknowledged));
        assert_eq!((lifecycle.state, lifecycle.step), (Acknowledged, 6));
    }

    #[test]
    fn after_the_end_a_route_that_begins_to_match_is_news_and_one_that_still_matches_is_not() {
        let mut lifecycle = lifecycle();
        let end = EventTime::EARLIEST + Duration::from_mins(60);
        assert!(!lifecycle.is_news(&trigger(Level::Low, end)), "it is live");
        assert!(lifecycle.move_to(EscalationState::Resolved, end));
        assert!(!lifecycle.is_news(&trigger(Level::Low, EventTime::EARLIEST)));
        assert!(lifecycle.is_news(&trigger(Level::Medium, EventTime::EARLIEST)));
        assert!(lifecycle.is_news(&trigger(Level::Low, end)));
    }

    #[test]
    fn undo_restores_the_owner_and_the_state_once() {
        let (mut lifecycle, before) = (lifecycle(), lifecycle());
        let point = lifecycle.undo_point("kim", "handed over");
        lifecycle.hand_over("legal", EventTime::EARLIEST);
        lifecycle.set_undo(point);
        assert_eq!(lifecycle.owner, "legal");
        assert_eq!(lifecycle.restore_undo(EventTime::EARLIEST).map(|undone| undone.by), Some("kim".into()));
        assert_eq!((&lifecycle.owner, lifecycle.state), (&before.owner, before.state));
        assert_eq!(lifecycle.restore_undo(EventTime::EARLIEST), None);
    }
}
