//! The order in which a task processes its events and actions: by Kafka timestamp, and the event first when
//! two are equal. The order within a partition never changes.
//!
//! An event is processed once every action that was in the log when the event was read is read too. An action is
//! processed once the events before it are read. So the order depends on the two logs only, and not on the
//! timing of reads. One case is left: an event that is written after an action was processed, but with an
//! earlier timestamp, comes after the action; a replay puts it first.

/// The stream whose record is processed next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NextInput {
    Event,
    Action,
}

/// Returns the stream whose record is processed next, by the timestamps (milliseconds) at the heads of both.
/// Returns `None` when there is no record, or when an action must wait for events that are not read yet. All
/// actions up to an end offset that was fetched after the event was read must be known; `events_at_end` means that
/// no event is left before the end offset fetched with it.
pub(crate) fn next_input(event: Option<i64>, action: Option<i64>, events_at_end: bool) -> Option<NextInput> {
    match (event, action) {
        (Some(event), Some(action)) if action < event => Some(NextInput::Action),
        (Some(_), _) => Some(NextInput::Event),
        (None, Some(_)) if events_at_end => Some(NextInput::Action),
        (None, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Merges both logs while the events become known in batches of these sizes.
    fn merged(events: &[i64], actions: &[i64], batches: &[usize]) -> Vec<(char, i64)> {
        let mut order = Vec::new();
        let (mut known, mut e, mut a) = (0, 0, 0);
        for size in batches.iter().copied().chain([events.len()]) {
            known = (known + size).min(events.len());
            while let Some(next) =
                next_input(events[..known].get(e).copied(), actions.get(a).copied(), known == events.len())
            {
                match next {
                    NextInput::Event => {
                        order.push(('e', events[e]));
                        e += 1;
                    }
                    NextInput::Action => {
                        order.push(('a', actions[a]));
                        a += 1;
                    }
                }
            }
        }
        order
    }

    #[test]
    fn order_is_independent_of_batch_sizes() {
        let (events, actions) = ([1, 3, 3, 2, 7, 9], [0, 3, 8, 20]);
        let whole = merged(&events, &actions, &[]);
        let wanted = "a0 e1 e3 e3 e2 a3 e7 a8 e9 a20";
        assert_eq!(whole.iter().map(|(c, t)| format!("{c}{t}")).collect::<Vec<_>>().join(" "), wanted);
        for batches in [&[1, 1, 1, 1, 1][..], &[2, 3], &[4], &[0, 0, 5]] {
            assert_eq!(merged(&events, &actions, batches), whole, "{batches:?}");
        }
    }
}
