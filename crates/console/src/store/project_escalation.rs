//! Applies escalation records to the projection: an older step never overwrites a newer one, and details that
//! only an earlier step had are kept.

use firewatch_domain::{Escalation, EscalationChange, EscalationState, EventTime, IncidentKind};
use sqlx::{Any, Transaction};

use super::StoreError;
use super::project_records::ActionRecord;
use super::record_text::{parse_record, record_text, search_text};
use super::retraction::Retraction;

/// Stores a record and returns whether it changed the escalation. A repeat does not: a hand-over, for
/// example, arrives by the topics of both teams.
pub(super) async fn project_escalation(
    change: &mut Transaction<'_, Any>,
    e: &Escalation,
    seq: i64,
) -> Result<bool, StoreError> {
    let (before, rewritten) = previous_record(change, e).await?;
    // Earlier versions did not write who acknowledged it.
    let states_owner = e.incident.is_some();
    let mut e = normalized(e.clone());
    // Topics are read in no fixed order: text that its author has since edited or deleted must not return.
    if let Some(now) = rewritten {
        now.apply(&mut e);
    }
    let record = record_text(&e)?;
    sqlx::query("INSERT INTO history VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
        .bind(&e.escalation)
        .bind(i64::from(e.step))
        .bind(&record)
        .execute(&mut **change)
        .await?;
    let is_new = before.is_none();
    let e = &merge_previous(e, before);
    let record = record_text(e)?;
    let taken_by = match &e.acknowledged_by {
        Some(person) => person.clone(),
        None if is_new && !e.state.is_final() => owner_from_actions(change, e).await?,
        None => String::new(),
    };
    // Nobody in the new team has acknowledged it, and what was reopened is nobody's.
    let is_released = states_owner
        || matches!(e.change, EscalationChange::HandedOver)
        || e.state == EscalationState::Reopened;
    let is_answered = matches!(
        e.state,
        EscalationState::Answered | EscalationState::HandOffAsked | EscalationState::HandedOff
    );
    let answered = is_answered.then_some(e.at);
    let done = sqlx::query(
        "INSERT INTO escalations (id, step, live, level, due, risk, team, brand, conversation, at, seq, words, record, \
         platform, posted, promised, answered, taken_by, opened, incident, silenced) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $10, $19, $21) \
         ON CONFLICT (id) DO UPDATE SET step = excluded.step, live = excluded.live, level = excluded.level, \
         due = excluded.due, risk = excluded.risk, team = excluded.team, at = excluded.at, seq = excluded.seq, \
         words = excluded.words, record = excluded.record, platform = excluded.platform, silenced = excluded.silenced, \
         promised = CASE WHEN escalations.promised = 0 THEN excluded.promised ELSE escalations.promised END, \
         answered = CASE WHEN escalations.answered = 0 THEN excluded.answered ELSE escalations.answered END, \
         taken_by = CASE WHEN excluded.live = 0 THEN '' WHEN $20 = 1 OR excluded.taken_by <> '' THEN excluded.taken_by \
         ELSE escalations.taken_by END \
         WHERE excluded.step > escalations.step",
    )
    .bind(&e.escalation)
    .bind(i64::from(e.step))
    .bind(i64::from(!e.state.is_final()))
    .bind(e.level as i64)
    .bind(due(e))
    .bind(e.risk.map_or(0.0, |risk| risk.value()))
    .bind(&e.team)
    .bind(e.brand.as_deref().unwrap_or_default())
    .bind(&e.conversation)
    .bind(e.at.as_millis())
    .bind(seq)
    .bind(search_text(e))
    .bind(&record)
    .bind(e.platform.as_deref().unwrap_or_default())
    .bind(e.posted_at.unwrap_or(e.at).as_millis())
    .bind(e.respond_by.map_or(0, EventTime::as_millis))
    .bind(answered.map_or(0, EventTime::as_millis))
    .bind(taken_by)
    .bind(e.incident_kind().as_str())
    .bind(i64::from(is_released))
    .bind(e.silenced_until.map_or(0, EventTime::as_millis))
    .execute(&mut **change)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Returns the sort key of the inbox: when a reply is due in milliseconds, `i64::MAX` if none is, and 0 for a
/// storm, which comes first in its level.
fn due(e: &Escalation) -> i64 {
    if e.incident_kind() == IncidentKind::Storm {
        return 0;
    }
    e.respond_by.map_or(i64::MAX, EventTime::as_millis)
}

/// Returns the stored record of the same escalation, and the edit or deletion of its post, if any.
async fn previous_record(
    change: &mut Transaction<'_, Any>,
    e: &Escalation,
) -> Result<(Option<Escalation>, Option<Retraction>), StoreError> {
    let (before, is_rewritten): (String, i64) = sqlx::query_as(
        "SELECT COALESCE((SELECT record FROM escalations WHERE id = $1), ''), \
         (SELECT COUNT(*) FROM rewritten WHERE conversation = $2)",
    )
    .bind(&e.escalation)
    .bind(&e.conversation)
    .fetch_one(&mut **change)
    .await?;
    let before = if before.is_empty() { None } else { Some(parse_record(&before)?) };
    let rewritten = if is_rewritten == 0 { None } else { Retraction::find(change, &e.conversation).await? };
    Ok((before, rewritten))
}

/// Returns the owner from actions that were applied before the escalation; empty if there is none. Topics are
/// read in no fixed order.
async fn owner_from_actions(change: &mut Transaction<'_, Any>, e: &Escalation) -> Result<String, StoreError> {
    let rows: Vec<(String,)> = sqlx::query_as(
        "SELECT record FROM actions WHERE conversation = $1 AND at >= $2 ORDER BY at DESC, id DESC LIMIT 20",
    )
    .bind(&e.conversation)
    .bind(e.at.as_millis())
    .fetch_all(&mut **change)
    .await?;
    let actions = rows.iter().filter_map(|(record,)| serde_json::from_str::<ActionRecord>(record).ok());
    let mut about = actions.filter(|action| action.is_about(&e.escalation, &e.team));
    Ok(about.find_map(|action| action.new_owner()).unwrap_or_default())
}

/// Brings a record of an earlier version to the present form: it states what it is about, and the reason of a
/// step that neither opens nor raises says what happened.
fn normalized(mut e: Escalation) -> Escalation {
    if e.incident.is_none() {
        e.incident = Some(e.incident_kind());
        let is_step = !matches!(e.change, EscalationChange::Opened | EscalationChange::Raised);
        if is_step && e.happened.is_none() {
            e.happened = e.reasons.take_decisive().map(|reason| reason.text);
        }
    }
    e
}

/// Fills in the details that only earlier records of the escalation have, such as the excerpt and the advice.
fn merge_previous(mut e: Escalation, before: Option<Escalation>) -> Escalation {
    let Some(before) = before else { return e };
    e.excerpt = e.excerpt.or(before.excerpt);
    // A step that neither opens nor raises has the decisive reason only; the others still apply.
    if e.reasons.len() <= 1 {
        let known = e.reasons.len();
        e.reasons.extend(before.reasons.into_iter().skip(known));
    }
    e.platform = e.platform.or(before.platform);
    e.posted_at = e.posted_at.or(before.posted_at);
    if e.topics.is_empty() {
        e.topics = before.topics;
    }
    if e.advice.is_empty() {
        e.advice = before.advice;
    }
    if e.contributions.is_empty() {
        e.contributions = before.contributions;
    }
    e
}
