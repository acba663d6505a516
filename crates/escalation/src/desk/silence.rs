//! The policy's silences at work: what they hide is counted, and told of before they lapse.

use std::collections::BTreeMap;

use firewatch_domain::{EscalationState, EventTime, Level, News};
use serde::{Deserialize, Serialize};

use super::Desk;
use super::case::Case;
use super::tell::{NoteKind, Of, Telling};
use crate::Life;
use crate::life::Reached;

/// The route that notices of silences are on.
const SILENCE: &str = "silence";
/// Conversations that a notice names.
const NAMED: usize = 5;

/// What a silence has hidden from one team.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Hidden {
    count: u64,
    /// The first of them.
    named: Vec<String>,
    told: bool,
}

/// What silences have hidden, by silence and team.
pub(crate) type AllHidden = BTreeMap<(String, String), Hidden>;

impl Desk {
    /// Until when a case is silenced by the policy, if it is; counts it as hidden from a team.
    pub(super) fn hide(
        &mut self,
        id: &str,
        case: &Case,
        team: &str,
        out: &mut Telling<'_>,
    ) -> Option<EventTime> {
        let silences = case.silences.iter().filter_map(|name| out.policy.silences.get_key_value(name));
        let (name, silence) = silences.max_by_key(|(_, silence)| silence.until)?;
        if silence.until <= out.now {
            return None;
        }
        let hidden = self.head.hidden.entry((name.clone(), team.to_owned())).or_default();
        hidden.count += 1;
        if hidden.named.len() < NAMED {
            hidden.named.push(id.to_owned());
        }
        let (by, until) = (&silence.by, silence.until);
        out.note(NoteKind::Silenced, id, || {
            format!("{team} is not told: silenced by {by} until {until} ({})", silence.reason)
        });
        Some(silence.until)
    }

    /// Tells teams of silences that are about to lapse, and ends what was told of those that have.
    pub(super) fn tell_of_silences(&mut self, out: &mut Telling<'_>) {
        let mut hidden = std::mem::take(&mut self.head.hidden);
        hidden.retain(|(name, team), hidden| {
            let id = format!("{SILENCE}/{}/{name}", out.brand);
            let silence = out.policy.silences.get(name).filter(|silence| silence.until > out.now);
            let Some(silence) = silence else {
                self.end_notice(&id, out);
                return false;
            };
            if !hidden.told && out.now >= silence.until - silence.warn_before {
                hidden.told = true;
                let mut reasons = vec![
                    format!(
                        "the silence {name} lapses at {}; it hides {} from {team}",
                        silence.until, hidden.count
                    ),
                    format!("made by {}: {}", silence.by, silence.reason),
                ];
                reasons.extend(hidden.named.iter().map(|id| format!("hidden: {id}")));
                let mut case = self.cases.remove(&id).unwrap_or_else(|| Case::new(None));
                let reached = Reached { route: SILENCE.into(), level: Level::Low, reason: String::new() };
                case.lives.push(Life::open(team, &reached, out.now));
                case.members = Some(hidden.count);
                let life = &case.lives[case.lives.len() - 1];
                let record = out.record(Of { id: &id, case: &case, life }, News::Opened, reasons);
                out.told.push(record);
                self.put_back(id, case, out.policy);
            }
            true
        });
        self.head.hidden = hidden;
    }

    fn end_notice(&mut self, id: &str, out: &mut Telling<'_>) {
        if let Some(mut case) = self.cases.remove(id) {
            out.move_all(id, &mut case, EscalationState::Resolved, "it has lapsed");
            self.cases.insert(id.to_owned(), case);
            self.drop_case(id);
        }
    }
}
