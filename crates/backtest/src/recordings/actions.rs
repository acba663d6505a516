//! Merges actions into the events by time: an action comes before the first later event.
//!
//! Actions are read into memory, because there are few of them, and need not be in order.

use std::path::Path;

use firewatch_engine::{DecodeResult, Record, Stream};

use super::{Chunk, ChunkResult, Place, decode_record};
use crate::lines::each_line;
use firewatch_report::AnalysisError;

/// Actions in the order of time; rejected ones come first.
pub struct Actions(Vec<(Place, DecodeResult)>);

/// Reads a file of actions as JSON lines, plain or compressed; `source` is its index among the sources.
///
/// # Errors
/// When the file cannot be read to its end.
pub fn read(path: &Path, source: u32) -> Result<Actions, AnalysisError> {
    let mut all = Vec::new();
    each_line(path, |number, line| {
        let place = Place { source, number };
        all.push((place, decode_record(Stream::Actions, place, line)));
    })?;
    all.sort_by_key(|(_, action)| action.as_ref().ok().map(Record::at));
    Ok(Actions(all))
}

impl Actions {
    /// Merges the actions into chunks of events.
    pub fn merge_into(
        self,
        chunks: impl Iterator<Item = ChunkResult> + Send + 'static,
    ) -> impl Iterator<Item = ChunkResult> + Send {
        let mut left = self.0.into_iter().peekable();
        let (mut chunks, mut sources) = (chunks, None);
        std::iter::from_fn(move || match chunks.next() {
            Some(Ok(events)) => {
                let mut all = Chunk::new(sources.insert(events.sources));
                for (place, record) in events.places.into_iter().zip(events.records) {
                    if let Ok(event) = &record {
                        while let Some((place, action)) = left.next_if(|(_, action)| is_before(action, event))
                        {
                            all.push(place, action);
                        }
                    }
                    all.push(place, record);
                }
                Some(Ok(all))
            }
            Some(Err(e)) => Some(Err(e)),
            None => {
                left.peek()?;
                let mut rest = Chunk::new(sources.as_ref()?);
                left.by_ref().for_each(|(place, action)| rest.push(place, action));
                Some(Ok(rest))
            }
        })
    }
}

fn is_before(action: &DecodeResult, event: &Record) -> bool {
    action.as_ref().map_or(true, |action| action.at() < event.at())
}
