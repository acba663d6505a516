//! Groups: conversations on one route that are alike in what its owner named, told as one escalation that grows.

use firewatch_domain::{Duration, EscalationState, EventTime};
use serde::{Deserialize, Serialize};

use super::Desk;
use super::case::{Case, OnRoute};
use super::growth::Growth;
use super::parts::PartKey;
use super::tell::{NoteKind, Telling};
use crate::life::Reached;

/// A group without a new member for so long is over.
const OVER_AFTER: Duration = Duration::from_mins(60);
/// Conversations that a group names.
const NAMED: usize = 5;

/// A group that is open.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Group {
    id: String,
    growth: Growth,
    last: EventTime,
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
        let first = Group { id: name, growth: Growth::new(out.now), last: out.now };
        let group = self.head.groups.entry((reached.route.clone(), key)).or_insert(first);
        let joins = !case.in_groups.contains(&reached.route);
        if joins {
            case.in_groups.push(reached.route.clone());
            group.growth.take(case.near);
            group.last = out.now;
        }
        let (group_id, members) = (group.id.clone(), group.growth.members);
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
        out.note(NoteKind::InGroup, id, || format!("told of as part of {group_id}"));
        self.put_back(group_id, whole, out.policy);
        true
    }

    /// Tells of groups that have grown, and ends those that do not any more.
    pub(super) fn tell_or_end_groups(&mut self, out: &mut Telling<'_>) {
        let mut groups = std::mem::take(&mut self.head.groups);
        groups.retain(|(route, _), group| {
            let Some(mut case) = self.cases.remove(&group.id) else { return false };
            let interval = out.policy.routes.get(route).map_or(OVER_AFTER, |route| route.group_interval);
            group.growth.tell((&group.id, &mut case), interval, out);
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
