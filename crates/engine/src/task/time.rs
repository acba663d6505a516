//! Stream time of a task: what advances it, the watermarks it sends, and what expires by it.

use firewatch_domain::{Duration, EventTime, SCHEMA_VERSION, Signal, SignalBody};

use super::Task;
use crate::decide::Decider;
use crate::{Effect, Ruleset};

/// Longest time between two watermarks of an idle partition.
const MAX_IDLE_INTERVAL: Duration = Duration::from_secs(10);

impl Task {
    /// Advances stream time to `now`, because other partitions of the same recording have reached it.
    pub fn advance_time(&mut self, now: EventTime, ruleset: &Ruleset, out: &mut Vec<Effect>) {
        self.advance(now, ruleset, out);
    }

    /// Marks the partition as idle: it was read to its end and has had no record for `span` since. Advances
    /// stream time by `span`. Nothing earlier can wait unread, so dispatchers decide up to that time, and do
    /// not wait for this partition any more. The longer it is idle, the fewer watermarks it sends.
    pub fn mark_idle(&mut self, span: Duration, ruleset: &Ruleset, out: &mut Vec<Effect>) {
        let newly_idle = !std::mem::replace(&mut self.progress.idle, true);
        let Some(previous) = self.progress.stream_time else {
            if newly_idle {
                self.emit_watermark(self.progress.watermark, ruleset, out);
            }
            return;
        };
        let now = previous + span;
        self.advance_stream_time(now, ruleset, out);
        let step = ruleset.policy.windows.step;
        let idle_for = now - self.progress.last_record_at.unwrap_or(now);
        let interval = Duration::from_millis(idle_for.as_millis() / 6).min(MAX_IDLE_INTERVAL).max(step);
        let watermark = now.floor(step).max(self.progress.watermark);
        if newly_idle || watermark - self.progress.watermark >= interval {
            self.emit_watermark(watermark, ruleset, out);
        }
    }

    /// Ends the stream: sends the final watermark, so that dispatchers decide everything pending. Expires
    /// nothing. A stream that has ended is not ended again.
    pub fn end_of_stream(&mut self, ruleset: &Ruleset, out: &mut Vec<Effect>) {
        self.progress.idle = false;
        if self.progress.watermark < EventTime::END {
            self.emit_watermark(EventTime::END, ruleset, out);
        }
    }

    /// Notes an event of time `at`.
    pub(super) fn follow_events(&mut self, at: EventTime, ruleset: &Ruleset, out: &mut Vec<Effect>) {
        self.progress.idle = false;
        self.progress.last_record_at = self.progress.last_record_at.max(Some(at));
        self.advance(at, ruleset, out);
    }

    /// Advances stream time, never back. Expires inactive conversations and sends brands a due watermark.
    fn advance(&mut self, now: EventTime, ruleset: &Ruleset, out: &mut Vec<Effect>) {
        if self.progress.stream_time.is_some_and(|t| now <= t) {
            return;
        }
        self.advance_stream_time(now, ruleset, out);
        let windows = &ruleset.policy.windows;
        let watermark = (now - windows.lateness).floor(windows.step);
        if watermark > self.progress.watermark {
            self.emit_watermark(watermark, ruleset, out);
        }
    }

    /// Advances stream time, and expires inactive conversations.
    fn advance_stream_time(&mut self, now: EventTime, ruleset: &Ruleset, out: &mut Vec<Effect>) {
        self.progress.stream_time = Some(now);
        self.expire_inactive(now, ruleset, out);
    }

    /// Expires the conversations that are inactive at a time.
    pub(super) fn expire_inactive(&mut self, now: EventTime, ruleset: &Ruleset, out: &mut Vec<Effect>) {
        while let Some((id, due, expired)) = self.conversations.pop_expired(now) {
            let reason = format!("no activity for {}", ruleset.policy.retention);
            let mut decider = Decider { ruleset, brands: &self.brands, stamp: self.stamp(now, None), out };
            decider.expiry(&expired, &id, due, reason);
        }
    }

    /// Expires the conversations inactive for longest until the limit holds.
    pub(super) fn keep_within_limit(&mut self, ruleset: &Ruleset, out: &mut Vec<Effect>) {
        let max = self.max_conversations;
        while self.conversations.len() > max {
            let Some((id, _, expired)) = self.conversations.pop_expired(EventTime::END) else { return };
            let now = self.progress.stream_time.unwrap_or(EventTime::EARLIEST);
            let reason = format!("more than {max} conversations at once; this one was inactive for longest");
            let mut decider = Decider { ruleset, brands: &self.brands, stamp: self.stamp(now, None), out };
            decider.expiry(&expired, &id, now, reason);
        }
    }

    /// Sends every brand a watermark.
    fn emit_watermark(&mut self, at: EventTime, ruleset: &Ruleset, out: &mut Vec<Effect>) {
        self.progress.watermark = at;
        let id = format!("tick/{}/{at}", self.partition);
        self.brands.adopt(ruleset);
        for brand in self.brands.signal_keys(ruleset) {
            out.push(Effect::Signal(Box::new(Signal {
                v: SCHEMA_VERSION,
                id: id.clone(),
                brand: brand.into(),
                at,
                source: self.partition,
                slot: 0,
                body: SignalBody::Watermark { sources: self.progress.partitions, idle: self.progress.idle },
            })));
        }
    }
}
