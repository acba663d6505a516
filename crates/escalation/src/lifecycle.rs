//! Lifecycle of one escalation: its state, its owner, and which change may follow which.

use firewatch_domain::{EscalationState, EventTime, Level};
use serde::{Deserialize, Serialize};

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
    pub route: String,
    /// When its latest record was emitted.
    pub notified_at: EventTime,
    /// Since when it has been unacknowledged.
    pub open_since: EventTime,
    /// Number of tiers it has passed.
    pub tier: usize,
    /// When to emit `late`. `None` after that, after an answer, and for routes that do not wait for one.
    pub overdue_at: Option<EventTime>,
}

/// Reason to open or raise an escalation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trigger {
    pub route: String,
    pub level: Level,
    pub reason: String,
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
            notified_at: at,
            open_since: at,
            tier: 0,
            overdue_at: None,
        }
    }

    /// Opens the next escalation after the previous one has ended.
    pub(crate) fn reopen(&mut self, trigger: &Trigger, at: EventTime) {
        let again = Self::open(&self.team, trigger, at);
        *self = Self { open_count: self.open_count + 1, state: EscalationState::Reopened, ..again };
    }

    /// Returns whether the trigger exceeds the emitted level. An escalation that a person closed stays closed
    /// unless the level rises.
    pub(crate) fn raises_level(&self, trigger: &Trigger) -> bool {
        trigger.level > self.level
    }

    /// Raises an open escalation.
    pub(crate) fn raise(&mut self, trigger: &Trigger, at: EventTime) {
        self.level = trigger.level;
        self.route.clone_from(&trigger.route);
        self.record_step(at);
    }

    /// Counts a step whose record is emitted.
    pub(crate) fn record_step(&mut self, at: EventTime) {
        self.step += 1;
        self.notified_at = at;
    }

    /// Moves to a state if it may follow the present one. Returns whether it moved.
    pub(crate) fn move_to(&mut self, state: EscalationState, at: EventTime) -> bool {
        use EscalationState::{
            Acknowledged, Answered, Expired, HandOffAsked, HandedOff, Open, Reopened, Resolved,
        };
        let allowed = match (self.state, state) {
            (Resolved | Expired, Reopened) => true,
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
            self.tier = 0;
        }
        self.state = state;
        self.record_step(at);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lifecycle() -> Lifecycle {
        let trigger = Trigger { route: "r".into(), level: Level::Low, reason: String::new() };
        Lifecycle::open("support", &trigger, EventTime::EARLIEST)
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
}
