//! The life of one escalation: which change may follow which, and what is told of it.

use firewatch_domain::{EscalationState, EventTime, Level};
use serde::{Deserialize, Serialize};

/// Where an escalation stands. One that ended may open again, as a new round.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lifecycle {
    /// The team that it was opened for: part of its name.
    pub team: String,
    /// The team that owns it.
    pub owner: String,
    /// How many times one was opened for this conversation and team, this one included.
    pub open_count: u32,
    /// Changes told since it was opened.
    pub step: u32,
    /// Where it stands.
    pub state: EscalationState,
    /// The highest level told.
    pub level: Level,
    /// The route that brought it there.
    pub route: String,
    /// When it was last told.
    pub notified_at: EventTime,
    /// Since when nobody has taken it.
    pub open_since: EventTime,
    /// Tiers that it has passed.
    pub tier: usize,
    /// When to tell that the first answer is late; none once it was told, or there was an answer.
    pub overdue_at: Option<EventTime>,
}

/// What opens or raises an escalation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trigger {
    pub route: String,
    pub level: Level,
    pub reason: String,
}

impl Lifecycle {
    /// A first escalation.
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

    /// Opens one that had ended.
    pub(crate) fn reopen(&mut self, trigger: &Trigger, at: EventTime) {
        let again = Self::open(&self.team, trigger, at);
        *self = Self { open_count: self.open_count + 1, state: EscalationState::Reopened, ..again };
    }

    /// Whether this opens or raises it: what a person closed stays closed unless it gets worse.
    pub(crate) fn raises_level(&self, trigger: &Trigger) -> bool {
        trigger.level > self.level
    }

    /// Raises one that is not over.
    pub(crate) fn raise(&mut self, trigger: &Trigger, at: EventTime) {
        self.level = trigger.level;
        self.route.clone_from(&trigger.route);
        self.record_step(at);
    }

    /// Takes note of a step that is told.
    pub(crate) fn record_step(&mut self, at: EventTime) {
        self.step += 1;
        self.notified_at = at;
    }

    /// Moves on to a state, when it may follow the present one. Tells whether it did.
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
        assert!(!go(Acknowledged), "taken already");
        assert!(go(HandOffAsked));
        assert!(go(HandedOff));
        assert!(!go(Answered), "the talk is private by now");
        assert!(!go(Reopened), "it is not done yet");
        assert!(go(Resolved));
        assert!(!go(HandedOff));
        assert!(go(Reopened));
        assert!(go(Acknowledged));
        assert_eq!((lifecycle.state, lifecycle.step), (Acknowledged, 6));
    }
}
