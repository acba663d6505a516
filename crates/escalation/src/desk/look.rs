//! Looks at the cases that are due: who is told, who is told again, and what ends.

use std::collections::BTreeSet;

use firewatch_domain::{Duration, EscalationState, EventTime, Level, News};

use super::case::{Case, team_of};
use super::clock::words;
use super::parts::PartKey;
use super::tell::{NoteKind, Of, Telling};
use super::{Desk, STORM};
use crate::Life;
use crate::life::Reached;

/// Time over which a team's budget counts.
const BUDGET: Duration = Duration::from_mins(60);

/// When what is on a route that this policy does not have is looked at again.
const LOOK_AGAIN: Duration = Duration::from_mins(1);

/// An escalation that would be opened, if the team's budget allows it.
struct Opening {
    id: String,
    team: String,
    reached: Reached,
    risk: i32,
}

impl Desk {
    /// Looks at every case that is due by now. Teams for whose budget some wait since then are handed back.
    pub(super) fn look_at_what_is_due(&mut self, out: &mut Telling<'_>) -> BTreeSet<String> {
        let mut openings = Vec::new();
        while let Some((due, id)) = self.agenda.first().cloned()
            && due <= out.now
        {
            self.agenda.pop_first();
            let Some(mut case) = self.cases.remove(&id) else { continue };
            case.next = None;
            self.look(&id, &mut case, &mut openings, out);
            self.changed.insert(PartKey::Case(id.clone()));
            self.cases.insert(id, case);
        }
        self.open_by_rank(openings, out)
    }

    /// Looks at one case. It comes back to the agenda at once, or after it was told of.
    fn look(&mut self, id: &str, case: &mut Case, openings: &mut Vec<Opening>, out: &mut Telling<'_>) {
        case.end_what_is_over(id, out);
        case.wait_for_unknown_routes(out);
        let before = openings.len();
        for team in case.teams_due(out.now, out.policy) {
            if let Some(reached) = self.opens(id, case, &team, out) {
                let risk = case.risk.unwrap_or_default().0;
                openings.push(Opening { id: id.to_owned(), team, reached, risk });
            }
        }
        case.remind(id, out);
        if openings.len() == before {
            case.slim();
            // Never at once again: a window must end.
            case.next = case.due(out.policy).map(|due| due.max(out.now + Duration::from_millis(1)));
            self.agenda.extend(case.next.map(|next| (next, id.to_owned())));
        }
    }

    /// What a team would be told anew. Raises one that is open, and settles what is no news.
    fn opens(&mut self, id: &str, case: &mut Case, team: &str, out: &mut Telling<'_>) -> Option<Reached> {
        let (now, policy) = (out.now, out.policy);
        let Some(reached) = case.reached(team, now, policy) else {
            out.note(NoteKind::Answered, id, || format!("{team} is not told: the brand has answered"));
            case.settle(team, now, policy);
            return None;
        };
        let is_on = |id: &String| self.head.storms.iter().any(|storm| storm.id == *id);
        let muted = case.in_storm.as_ref().is_some_and(is_on) && reached.level <= policy.storms.mutes;
        let awake = policy.teams.get(team).map_or(now, |t| t.awake_at(now, reached.level));
        let i = case.lives.iter().position(|life| life.team == team);
        let is_open = i.is_some_and(|i| !case.lives[i].state.is_final());
        if i.is_some_and(|i| !case.lives[i].is_news(&reached)) {
            case.settle(team, now, policy);
        } else if muted && !is_open {
            out.note(NoteKind::InStorm, id, || {
                format!(
                    "{team} is not told of it alone: it is part of a storm, and {} at most",
                    policy.storms.mutes
                )
            });
            case.settle(team, now, policy);
        } else if let Some(until) = self.hide(id, case, team, out) {
            case.put_off(team, now, until, policy);
        } else if awake > now {
            out.note(NoteKind::Asleep, id, || {
                format!("{team} sleeps until {awake}, and {} does not wake it", reached.level)
            });
            case.put_off(team, now, awake, policy);
        } else if !is_open && self.join_group(id, case, &reached, out) {
            case.settle(team, now, policy);
        } else if let Some(i) = i.filter(|_| is_open) {
            case.settle(team, now, policy);
            case.lives[i].raise(&reached, now);
            out.whole(Of { id, case, life: &case.lives[i] }, News::Raised, reached.reason);
        } else {
            return Some(reached);
        }
        None
    }

    /// Opens by rank as many as the teams' budgets allow; the others wait and are told of in a digest.
    fn open_by_rank(&mut self, mut openings: Vec<Opening>, out: &mut Telling<'_>) -> BTreeSet<String> {
        let mut waits = BTreeSet::new();
        openings.sort_by(|a, b| {
            let rank = |o: &Opening| (std::cmp::Reverse(o.reached.level), std::cmp::Reverse(o.risk));
            rank(a).cmp(&rank(b)).then_with(|| (&a.id, &a.team).cmp(&(&b.id, &b.team)))
        });
        for opening in openings {
            let Opening { id, team, reached, .. } = opening;
            let Some(mut case) = self.cases.remove(&id) else { continue };
            // A storm is told instead of many, so it never waits for a budget.
            let full = if reached.route == STORM { None } else { self.room(&team, reached.level, out) };
            match full {
                None => case.open(&id, &team, reached, out),
                Some(free_at) => {
                    out.note(NoteKind::OverBudget, &id, || {
                        format!("waits for the budget of {team} until {free_at}")
                    });
                    case.put_off(&team, out.now, free_at, out.policy);
                    if !case.waits_for.contains(&team) {
                        case.waits_for.push(team.clone());
                    }
                    waits.insert(team);
                }
            }
            case.slim();
            self.put_back(id, case, out.policy);
        }
        waits
    }

    /// Takes one from a team's budget; when there is none left, tells when there will be.
    fn room(&mut self, team: &str, level: Level, out: &Telling<'_>) -> Option<EventTime> {
        let budget = out.policy.teams.get(team)?.budget? as usize;
        let past = self.head.openings.entry(team.to_owned()).or_default();
        while past.front().is_some_and(|at| *at + BUDGET <= out.now) {
            past.pop_front();
        }
        if past.len() >= budget && level < Level::Critical {
            return past.front().map(|at| *at + BUDGET);
        }
        past.push_back(out.now);
        None
    }
}

impl Case {
    /// Puts off what is on a route that this policy does not have: another process may have taken a policy over earlier, and
    /// a conversation leaves a route that is gone when it is heard of next.
    fn wait_for_unknown_routes(&mut self, out: &Telling<'_>) {
        for on in self.routes.iter_mut().filter(|on| team_of(on, out.policy).is_none()) {
            on.due = on.due.map(|due| if due <= out.now { out.now + LOOK_AGAIN } else { due });
        }
    }

    /// Opens an escalation, or opens it again.
    fn open(&mut self, id: &str, team: &str, reached: Reached, out: &mut Telling<'_>) {
        self.settle(team, out.now, out.policy);
        let i = match self.lives.iter().position(|life| life.team == team) {
            Some(i) => {
                self.lives[i].reopen(&reached, out.now);
                i
            }
            None => {
                self.lives.push(Life::open(team, &reached, out.now));
                self.lives.len() - 1
            }
        };
        let waits_for_answer = out.policy.routes.get(&reached.route).is_some_and(|r| r.unless_answered);
        let due = self.respond_by(out.terms()).filter(|due| waits_for_answer && *due > out.now);
        // An answer in time may come at the last moment.
        self.lives[i].late_at = due.map(|due| due + Duration::from_millis(1));
        out.whole(Of { id, case: self, life: &self.lives[i] }, News::Opened, reached.reason);
    }

    /// Takes the case off routes that have ended, and resolves what had no other.
    fn end_what_is_over(&mut self, id: &str, out: &mut Telling<'_>) {
        let over = |at: Option<EventTime>| at.is_some_and(|at| at <= out.now);
        let ended: Vec<_> = self.routes.iter().filter(|on| over(on.over_at)).cloned().collect();
        self.routes.retain(|on| !over(on.over_at));
        for on in ended {
            let Some((team, route)) = team_of(&on, out.policy).zip(out.policy.routes.get(&on.route)) else {
                continue;
            };
            if self.has_route(team, out.policy) {
                continue;
            }
            let reason = match &route.until {
                Some(until) => format!(
                    "{} has held for {}",
                    until.source(),
                    words(route.clear_after.unwrap_or_default())
                ),
                None => format!(
                    "the conditions of {} have not held for {}",
                    on.route,
                    words(route.clear_after.unwrap_or_default())
                ),
            };
            if let Some(i) = self.lives.iter().position(|life| life.team == team)
                && self.lives[i].move_to(EscalationState::Resolved, out.now)
            {
                out.step(Of { id, case: self, life: &self.lives[i] }, News::Moved, reason);
            }
        }
    }

    /// Tells again what nobody took, what was forgotten, and what is late.
    fn remind(&mut self, id: &str, out: &mut Telling<'_>) {
        let (now, policy) = (out.now, out.policy);
        let is_due = |at: Option<EventTime>| at.is_some_and(|at| at <= now);
        for i in 0..self.lives.len() {
            let life = &mut self.lives[i];
            if life.state.is_final() {
                continue;
            }
            if is_due(life.late_at) {
                life.late_at = None;
                life.told(now);
                let business = if out.terms().hours.is_some() { " of business hours" } else { "" };
                let target = words(out.terms().first_response);
                out.step(
                    Of { id, case: self, life: &self.lives[i] },
                    News::Late,
                    format!("not answered within {target}{business}"),
                );
            }
            let life = &mut self.lives[i];
            if is_due(life.forgotten_at(policy)) {
                let since = words(now - life.told_at);
                life.move_to(EscalationState::Reopened, now);
                out.step(
                    Of { id, case: self, life: &self.lives[i] },
                    News::Moved,
                    format!("acknowledged, and nothing has followed for {since}"),
                );
            }
            let life = &self.lives[i];
            if is_due(life.tier_at(policy)) {
                self.next_tier(id, i, out);
            }
            let life = &mut self.lives[i];
            if is_due(life.repeat_at(policy)) {
                life.told(now);
                let since = words(now - life.open_since);
                out.step(
                    Of { id, case: self, life: &self.lives[i] },
                    News::Waits,
                    format!("nobody has taken it for {since}"),
                );
            }
        }
        if let Some(asked) = self.asked.as_mut().filter(|asked| !asked.told && asked.by <= now) {
            asked.told = true;
            let reason =
                format!("asked to go on in private {} ago, and nothing has followed", words(now - asked.at));
            for i in 0..self.lives.len() {
                if self.lives[i].state == EscalationState::HandOffAsked {
                    self.lives[i].told(now);
                    out.step(Of { id, case: self, life: &self.lives[i] }, News::Stalled, reason.clone());
                }
            }
        }
    }

    /// Gives one that nobody took to the next tier.
    fn next_tier(&mut self, id: &str, i: usize, out: &mut Telling<'_>) {
        let life = &mut self.lives[i];
        let Some(tier) = out.policy.teams.get(&life.team).and_then(|team| team.tiers.get(life.tier)) else {
            return;
        };
        life.tier += 1;
        let reason = format!(
            "not acknowledged by {} within {}: {} owns it now",
            life.owner,
            words(tier.after),
            tier.team
        );
        let before = std::mem::replace(&mut life.owner, tier.team.clone());
        life.told(out.now);
        let mut record =
            out.record(Of { id, case: self, life: &self.lives[i] }, News::HandedOver, vec![reason]);
        record.handed_over_by = Some(before).filter(|before| *before != tier.team);
        out.told.push(record);
    }
}
