//! What a team is told, in one escalation that is kept up to date, of those that wait for its budget.

use std::collections::BTreeSet;

use firewatch_domain::{EscalationState, EventTime, Level, News, Tenths};
use serde::{Deserialize, Serialize};

use super::Desk;
use super::case::Case;
use super::tell::{Of, Telling};
use crate::Life;
use crate::life::Reached;

/// The route that digests are on.
const DIGEST: &str = "digest";
/// Cases that a digest names.
const NAMED: usize = 5;

/// A digest that is open.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Digest {
    id: String,
    told: Vec<String>,
    told_at: EventTime,
}

impl Desk {
    /// Opens, updates and ends the digests: `waits` has the teams for whose budget something waits since just now.
    pub(super) fn digest(&mut self, mut waits: BTreeSet<String>, out: &mut Telling<'_>) {
        waits.retain(|team| !self.head.digests.contains_key(team));
        let interval = out.policy.storms.group_interval;
        let old = self.head.digests.iter().filter(|(_, digest)| out.now - digest.told_at >= interval);
        waits.extend(old.map(|(team, _)| team.clone()));
        for team in waits {
            self.digest_of(&team, out);
        }
    }

    fn digest_of(&mut self, team: &str, out: &mut Telling<'_>) {
        let waiting = self.waiting(team);
        let ids: Vec<String> = waiting.iter().map(|(_, _, id)| id.clone()).collect();
        let Some(digest) = self.head.digests.get_mut(team) else {
            let id = format!("{DIGEST}/{}/{team}/{}", out.brand, out.now);
            self.head.digests.insert(team.to_owned(), Digest { id: id.clone(), told: ids, told_at: out.now });
            let level = waiting.first().map_or(Level::Low, |(level, ..)| *level);
            let mut case = Case::new(None);
            case.lives.push(Life::open(
                team,
                &Reached { route: DIGEST.into(), level, reason: String::new() },
                out.now,
            ));
            list(Of { id: &id, case: &case, life: &case.lives[0] }, News::Opened, &waiting, out);
            self.put_back(id, case, out.policy);
            return;
        };
        if digest.told == ids {
            return;
        }
        (digest.told, digest.told_at) = (ids, out.now);
        let id = digest.id.clone();
        let Some(mut case) = self.cases.remove(&id) else { return };
        if waiting.is_empty() {
            self.head.digests.remove(team);
            out.move_all(&id, &mut case, EscalationState::Resolved, "none waits any more");
            self.cases.insert(id.clone(), case);
            self.drop_case(&id);
            return;
        }
        if let Some(life) = case.lives.first_mut().filter(|life| !life.state.is_final()) {
            life.level = life.level.max(waiting.first().map_or(Level::Low, |(level, ..)| *level));
            life.told(out.now);
            list(Of { id: &id, case: &case, life: &case.lives[0] }, News::Grew, &waiting, out);
        }
        self.put_back(id, case, out.policy);
    }

    /// Cases that wait for a team's budget, those that matter most first.
    fn waiting(&self, team: &str) -> Vec<(Level, Tenths, String)> {
        let waiting = self.cases.iter().filter(|(_, case)| case.waits_for.iter().any(|t| t == team));
        let mut all: Vec<_> = waiting
            .filter_map(|(id, case)| {
                let due = case.routes.iter().filter(|on| on.due.is_some());
                Some((due.map(|on| on.level).max()?, case.risk.unwrap_or_default(), id.clone()))
            })
            .collect();
        all.sort_by(|a, b| (b.0, b.1).cmp(&(a.0, a.1)).then_with(|| a.2.cmp(&b.2)));
        all
    }
}

fn list(of: Of<'_>, news: News, waiting: &[(Level, Tenths, String)], out: &mut Telling<'_>) {
    let team = &of.life.team;
    let budget = out.policy.teams.get(team).and_then(|team| team.budget).unwrap_or_default();
    let mut reasons = vec![format!(
        "{} more wait, as {team} is told of {budget} an hour; those that matter most:",
        waiting.len(),
    )];
    reasons.extend(waiting.iter().take(NAMED).map(|(level, risk, id)| format!("{id}: {level}, risk {risk}")));
    let mut record = out.record(of, news, reasons);
    record.members = Some(waiting.len() as u64);
    out.told.push(record);
}
