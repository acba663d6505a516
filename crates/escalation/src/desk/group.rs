//! Groups: conversations on one route that are alike in what its owner named, told as one escalation that grows.

use firewatch_domain::{Duration, EscalationState, EventTime, News};
use serde::{Deserialize, Serialize};

use super::Desk;
use super::case::{Case, OnRoute};
use super::parts::PartKey;
use super::tell::{Of, Telling};
use crate::life::Reached;

/// A group without a new member for so long is over.
const OVER_AFTER: Duration = Duration::from_mins(60);
/// Conversations that a group names.
const NAMED: usize = 5;

/// How far something that grows was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Growth {
    pub told: u64,
    pub at: EventTime,
}

/// A group that is open.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Group {
    id: String,
    members: u64,
    growth: Growth,
    last: EventTime,
}

impl Growth {
    /// Tells of a case that has grown to so many, when it is time for that and nobody has called it done.
    pub fn tell(
        &mut self,
        (id, case): (&str, &mut Case),
        members: u64,
        interval: Duration,
        out: &mut Telling<'_>,
    ) {
        let Some(life) = case.lives.first_mut() else { return };
        let just_opened = life.step == 0 && life.told_at == out.now;
        if just_opened {
            *self = Self { told: members, at: out.now };
        }
        let is_time = out.now - self.at >= interval;
        if just_opened || !is_time || members == self.told || life.state.is_final() {
            return;
        }
        life.told(out.now);
        let reason = format!("grew from {} to {members} posts", self.told);
        out.step(Of { id, case, life: &case.lives[0] }, News::Grew, reason);
        *self = Self { told: members, at: out.now };
    }
}

impl Desk {
    /// Makes a case a member of the group that it belongs to, if its route has groups. Tells whether it did.
    pub(super) fn join_group(
        &mut self,
        id: &str,
        case: &mut Case,
        reached: &Reached,
        out: &mut Telling<'_>,
    ) -> bool {
        let on = case.routes.iter().find(|on| on.route == reached.route);
        let Some(key) = on.and_then(|on| on.group.clone()) else { return false };
        let name = format!("group/{}/{}/{key}/{}", out.brand, reached.route, out.now);
        let first = Group { id: name, members: 0, growth: Growth { told: 0, at: out.now }, last: out.now };
        let group = self.head.groups.entry((reached.route.clone(), key)).or_insert(first);
        let joins = !case.in_groups.contains(&reached.route);
        if joins {
            case.in_groups.push(reached.route.clone());
            group.members += 1;
            group.last = out.now;
        }
        let (group_id, members) = (group.id.clone(), group.members);
        let mut whole = self.cases.remove(&group_id).unwrap_or_else(|| {
            let mut new = Case::new(None);
            new.routes.push(OnRoute::due(&reached.route, reached.level, reached.reason.clone(), out.now));
            new.advice.clone_from(&case.advice);
            new
        });
        whole.members = Some(members);
        whole.posted_at = whole.posted_at.into_iter().chain(case.posted_at).min();
        if joins && whole.reasons.len() < NAMED {
            whole.reasons.push(format!("in it: {id}"));
        }
        if let Some(on) = whole.routes.first_mut().filter(|on| reached.level > on.level) {
            (on.level, on.reason, on.due) = (reached.level, reached.reason.clone(), Some(out.now));
        }
        out.note(id, || format!("told of as part of {group_id}"));
        self.put_back(group_id, whole, out.policy);
        true
    }

    /// Tells of groups that have grown, and ends those that do not any more.
    pub(super) fn tell_or_end_groups(&mut self, out: &mut Telling<'_>) {
        let mut groups = std::mem::take(&mut self.head.groups);
        groups.retain(|(route, _), group| {
            let Some(mut case) = self.cases.remove(&group.id) else { return false };
            let interval = out.policy.routes.get(route).map_or(OVER_AFTER, |route| route.group_interval);
            group.growth.tell((&group.id, &mut case), group.members, interval, out);
            let is_over = out.now - group.last >= OVER_AFTER;
            if is_over {
                let reason = format!("none joined for {OVER_AFTER}");
                out.move_all(&group.id, &mut case, EscalationState::Resolved, &reason);
            }
            self.changed.insert(PartKey::Case(group.id.clone()));
            self.cases.insert(group.id.clone(), case);
            if is_over {
                self.drop_case(&group.id);
            }
            !is_over
        });
        self.head.groups = groups;
    }
}
