//! Applies the present state of a conversation to its incident.

use firewatch_domain::{EscalationState, EventTime, IncidentId, RoutesMatched};

use super::Dispatcher;
use super::active_route::ActiveRoute;
use super::emitter::{DecisionKind, Emitter};
use super::incident::{Details, Incident};
use super::links::Links;
use super::related::{Related, RelationKind};
use crate::RouteRef;
use crate::policy::Policy;

impl Dispatcher {
    pub(super) fn apply_match(&mut self, matched: RoutesMatched, at: EventTime, out: &mut Emitter<'_>) {
        let id = IncidentId::conversation(matched.conversation.clone());
        let mut incident = match self.incidents.check_out(&id) {
            Some(old) if old.began_at(matched.began) || self.still_needed(&old) => old,
            old => {
                // A conversation that began again after its end is a new incident, unless a team waits for the old one.
                let mut again = Incident::new(Details::conversation(matched.began));
                if let Some(mut old) = old {
                    out.move_all(&id, &mut old, EscalationState::Expired, "the conversation began again");
                    again.keep_silences(old, at);
                }
                again
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
                let why =
                    if active.deferred { "until its team could be notified" } else { "for long enough" };
                format!("off route {}: its conditions did not hold {why}", active.route)
            });
        }
        self.incidents.check_in(&id, incident, out.policy);
    }

    /// Returns whether an incident whose conversation begins again is still about something: nobody has answered, and a
    /// team works on it or will be notified of it, by itself, in a group or digest, or at the end of a storm.
    fn still_needed(&self, old: &Incident) -> bool {
        old.conversation().is_some_and(|known| {
            let is_listed = !known.memberships.is_empty();
            known.answered_at.is_none()
                && (old.is_alive() || is_listed || old.waits_in_storm(&self.core.storms))
        })
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
        let Some(cross_post) = self.core.cross_posts.observe(matched, at) else { return };
        let other = IncidentId::conversation(cross_post.conversation.clone());
        let back = Related { conversation: matched.conversation.clone(), kind: cross_post.kind };
        self.incidents.edit(&other, |other| other.relate(back));
        incident.relate(cross_post);
    }
}

impl Incident {
    /// Returns whether its conversation is the one that began at a time.
    fn began_at(&self, began: EventTime) -> bool {
        self.conversation().is_some_and(|known| known.began == began)
    }

    /// Applies the present state of a conversation.
    fn apply_match(&mut self, matched: RoutesMatched, at: EventTime, policy: &Policy) {
        let is_new = self.routes.is_empty() && self.lifecycles.is_empty();
        // What is known of one that began again says nothing of what it was before.
        let known_since = if self.began_at(matched.began) { EventTime::EARLIEST } else { matched.began };
        let mut has_other_silences = false;
        self.trace = matched.trace.or(self.trace.take());
        self.posted_at = self.posted_at.or(matched.posted_at);
        if matched.url.is_some() || matched.author_url.is_some() {
            self.links = Some(Box::new(Links { post: matched.url, author: matched.author_url }));
        }
        // One that began again without its post says less of it than what is known.
        let knows_post = self.began_at(matched.began) || matched.posted_at.is_some();
        if knows_post {
            (self.reasons, self.advice) = (matched.reasons.into(), matched.advice);
        }
        if is_new {
            // Silences after its first match come as actions.
            self.silenced_until = self.silenced_until.max(matched.silenced_until);
        }
        if !matched.topics.is_empty() {
            self.topics = matched.topics;
        }
        if let Some(conversation) = self.conversation_mut() {
            (conversation.expired, conversation.expires_at) = (None, None);
            conversation.platform = matched.platform.or(conversation.platform.take());
            conversation.risk =
                if knows_post { Some(matched.risk) } else { conversation.risk.max(Some(matched.risk)) };
            conversation.excerpt = matched.excerpt.or(conversation.excerpt.take());
            if knows_post {
                conversation.contributions = matched.contributions;
            }
            conversation.counts_for_storms |= matched.counts_for_storms;
            if knows_post {
                has_other_silences = conversation.silences != matched.silences;
                conversation.silences = matched.silences;
            }
            conversation.sim_hash = matched.sim_hash.or(conversation.sim_hash);
            if matched.answered {
                conversation.answered_at.get_or_insert(at);
            }
        }
        if has_other_silences {
            self.release(None, at, policy);
        }
        for active in &mut self.routes {
            let matches = matched.routes.iter().any(|m| active.route.policy_name() == Some(&*m.route));
            if !matches && !active.lapsed && active.since >= known_since {
                active.lapsed = true;
                // Its return is news as long as the team was not notified of the one before.
                let is_decided = active.due.is_none();
                active.calm_since =
                    Some(if is_decided { active.calm_since.unwrap_or(at) } else { EventTime::EARLIEST });
                let route = active.route.policy_name().and_then(|name| policy.routes.get(name));
                active.ends_at = route.and_then(|route| route.clear_after).map(|after| at + after);
            }
        }
        // A lapsed route whose team has not been notified did not hold for long enough.
        self.routes.retain(|active| !active.lapsed || active.decided);
        self.routes.iter_mut().filter(|active| active.lapsed).for_each(|active| active.due = None);
        for new in matched.routes {
            let route = policy.routes.get(&new.route);
            let known = self.routes.iter_mut().find(|active| active.route.policy_name() == Some(&*new.route));
            let Some(active) = known else {
                let due = route.map_or(at, |route| at + route.hold + route.group_wait);
                let active = ActiveRoute::new(RouteRef::Policy(new.route), new.level, new.reason, at);
                self.routes.push(ActiveRoute { group: new.group, due: Some(due), ..active });
                continue;
            };
            active.matches(new, at, route);
        }
    }
}
