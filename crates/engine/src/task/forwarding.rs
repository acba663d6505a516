//! Where records belong: those of another partition are passed on, and those that were are taken.

use firewatch_domain::{Forwarded, ForwardedRecord, IncidentId, SCHEMA_VERSION};

use super::Task;
use crate::record::{Input, Record, RecordMeta};
use crate::{Effect, Outcome, Ruleset};

impl Task {
    /// Processes a record, or forwards it to the partition in which its conversation lives.
    pub(super) fn handle_record(
        &mut self,
        record: Record,
        input: &Input<'_>,
        ruleset: &Ruleset,
        out: &mut Vec<Effect>,
    ) -> Outcome {
        let meta = RecordMeta { arrival: input.arrival, trace: input.trace };
        let home = self.home_elsewhere(&record);
        match (record, home) {
            (Record::Event(event), Some(home)) => {
                let at = event.at.min(input.arrival);
                out.push(forwarded(ForwardedRecord::Event(event), input, home));
                self.follow_events(at, ruleset, out);
                Outcome::Forwarded
            }
            (Record::Action(action), Some(home)) => {
                out.push(forwarded(ForwardedRecord::Action(action), input, home));
                Outcome::Forwarded
            }
            (Record::Event(event), None) => self.handle_event(&event, meta, ruleset, out),
            (Record::Action(action), None) => self.handle_action(&action, meta, ruleset, out),
            (Record::Signal(signal), _) => self.handle_signal(signal, ruleset, out),
            (Record::Forwarded(forwarded), _) => {
                let meta = RecordMeta { arrival: forwarded.arrival, ..meta };
                match &forwarded.record {
                    ForwardedRecord::Event(event) if !self.is_caught_up => {
                        let outcome = self.apply_event(event, meta, ruleset, out);
                        self.keep_within_limit(ruleset, out);
                        outcome
                    }
                    ForwardedRecord::Event(event) => self.handle_event(event, meta, ruleset, out),
                    ForwardedRecord::Action(action) => self.handle_action(action, meta, ruleset, out),
                }
            }
        }
    }

    /// Returns the partition in which the conversation of an event or action lives, if it is another one.
    fn home_elsewhere(&self, record: &Record) -> Option<u32> {
        let has_home = match record {
            Record::Event(_) => true,
            // Every task can report an action on an incident of a brand.
            Record::Action(action) => IncidentId::from_prefix(&action.conversation).is_none(),
            Record::Signal(_) | Record::Forwarded(_) => false,
        };
        let conversation = record.key();
        let partitioner = self.partitioner.filter(|_| has_home)?;
        let home = partitioner.partition(conversation.as_bytes(), self.progress.partitions);
        (home != self.partition && !self.conversations.contains(conversation)).then_some(home)
    }
}

/// Returns the effect that passes a record on to the task of the partition `home`.
fn forwarded(record: ForwardedRecord, input: &Input<'_>, home: u32) -> Effect {
    let id = format!("{}/{}/{}", input.topic, input.partition, input.offset);
    let forwarded = Forwarded { v: SCHEMA_VERSION, id, arrival: input.arrival, record };
    Effect::Forwarded(Box::new(forwarded), home)
}
