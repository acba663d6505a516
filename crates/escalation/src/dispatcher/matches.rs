//! Applies the present state of a conversation to its incident.

use firewatch_domain::{EscalationState, EventTime, IncidentId, RoutesMatched};

use super::Dispatcher;
use super::emitter::{DecisionKind, Emitter};
use super::incident::{Details, Incident};
use super::related::{Related, RelationKind};

impl Dispatcher {
    pub(super) fn apply_match(&mut self, matched: RoutesMatched, at: EventTime, out: &mut Emitter<'_>) {
        let id = IncidentId::conversation(matched.conversation.clone());
        let mut incident = match self.incidents.check_out(&id) {
            Some(old) if old.conversation().is_some_and(|known| known.began == matched.began) => old,
            old => {
                // A conversation that began again after its end is a new incident.
                if let Some(mut old) = old {
                    out.move_all(&id, &mut old, EscalationState::Expired, "the conversation began again");
                }
                Incident::new(Details::conversation(matched.began))
            }
        };
        let before = incident.routes.clone();
        self.relate(&mut incident, &matched, at);
        incident.apply_match(matched, at, out.policy);
        self.wait_with_group(&mut incident, at, out);
        for active in incident.routes.iter().filter(|active| !before.contains(active)) {
            out.record_decision(DecisionKind::RouteChanged, &id, || active.describe());
        }
        let ended = before.iter().filter(|known| !incident.routes.iter().any(|now| now.route == known.route));
        for active in ended {
            out.record_decision(DecisionKind::RouteChanged, &id, || {
                format!("off route {}: its conditions did not hold for long enough", active.route)
            });
        }
        self.incidents.check_in(&id, incident, out.policy);
    }

    /// Lets a conversation that begins to match a route with groups wait with its group: until the first of them
    /// has waited, or not at all when the group is open.
    fn wait_with_group(&mut self, incident: &mut Incident, at: EventTime, out: &Emitter<'_>) {
        for active in incident.routes.iter_mut().filter(|active| active.since == at && active.due.is_some()) {
            let (Some(route), Some(key)) = (active.route.policy_name(), active.group.clone()) else {
                continue;
            };
            let Some(hold) = out.policy.routes.get(route).map(|route| route.hold) else { continue };
            let place = (route.to_owned(), key);
            if self.core.groups.contains_key(&place) {
                active.due = Some(at + hold);
                continue;
            }
            self.changed.insert(super::StatePartKey::Core);
            let first = self.core.group_waits.entry(place).or_insert(active.due.unwrap_or(at));
            // A group that did not open was suppressed; the next one waits anew.
            *first = if *first < at { active.due.unwrap_or(at) } else { *first };
            active.due = Some((at + hold).max(*first));
        }
    }

    /// Relates a new complaint to the conversations it belongs with, on both sides.
    fn relate(&mut self, incident: &mut Incident, matched: &RoutesMatched, at: EventTime) {
        if !matched.counts_for_storms {
            return;
        }
        if let Some(quoted) = &matched.related {
            incident.relate(Related { conversation: quoted.clone(), kind: RelationKind::Quote });
        }
        self.changed.insert(super::StatePartKey::Core);
        let Some(cross_post) = self.core.cross_posts.observe(matched, at) else { return };
        let other = IncidentId::conversation(cross_post.conversation.clone());
        let back = Related { conversation: matched.conversation.clone(), kind: cross_post.kind };
        self.incidents.edit(&other, |other| other.relate(back));
        incident.relate(cross_post);
    }
}
