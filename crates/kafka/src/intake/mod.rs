//! Raw topics into the events topic: payloads as platforms send them are read, and each event is written under the key of its
//! conversation, exactly once.
//!
//! Every source has a group, workers and changelogs of its own, made of the same parts as the engine's.

mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use firewatch_telemetry::IngestMetrics;
use firewatch_ingest::Reader;
use firewatch_wire::Contract;
use rdkafka::consumer::Consumer;

use crate::crew::Crew;
use crate::error::Remedy;
use crate::member::{self, Member};
use crate::topics::same_with_state;
use crate::wait::{Backoff, pause_while};
use crate::{Clock, Health, KafkaSettings, RunError, Topics};
use worker::Worker;

/// How long to wait for news of the groups before looking around.
const POLL: Duration = Duration::from_millis(20);

/// A raw topic, and how what is in it is read.
#[derive(Debug, Clone)]
pub struct RawSource {
    /// Its name in the settings.
    pub name: String,
    /// The topic.
    pub topic: String,
    /// How its payloads are read.
    pub reader: Reader,
}

/// One source with its workers.
struct Line {
    settings: KafkaSettings,
    /// Its raw topic in the place of the events, and its own state.
    topics: Topics,
    /// Where events go.
    events: String,
    source: RawSource,
    metrics: IngestMetrics,
    clock: Clock,
    crew: Arc<Crew>,
}

/// The run loop of all sources.
pub struct Intakes {
    lines: Vec<Arc<Line>>,
    healths: Vec<Arc<Health>>,
    clock: Clock,
}

impl Intakes {
    /// A loop that has not begun; nothing is connected yet.
    #[must_use]
    pub fn new(
        settings: &KafkaSettings,
        topics: &Topics,
        sources: Vec<RawSource>,
        metrics: &IngestMetrics,
        clock: Clock,
    ) -> Self {
        let line = |source: RawSource| {
            let group = format!("{}.ingest.{}", settings.group, source.name);
            Arc::new(Line {
                settings: KafkaSettings { group, ..settings.clone() },
                topics: topics.of_source(&source.topic),
                events: topics.events.clone(),
                source,
                metrics: metrics.clone(),
                clock,
                crew: Arc::default(),
            })
        };
        let lines: Vec<_> = sources.into_iter().map(line).collect();
        let healths = lines.iter().map(|line| Arc::new(Health::new(line.crew.clone(), clock))).collect();
        Self { lines, healths, clock }
    }

    /// Whether the process is well, source by source.
    #[must_use]
    pub fn healths(&self) -> Vec<Arc<Health>> {
        self.healths.clone()
    }

    /// Waits for brokers, joins the groups and runs until told to stop; then every worker commits.
    ///
    /// # Errors
    /// When topics are not as they must be, no broker answers for too long, or a worker cannot go on.
    pub fn run(&self, stop: &AtomicBool) -> Result<(), RunError> {
        if !self.wait_for_topics(stop)? {
            return Ok(());
        }
        let mut members = Vec::new();
        for line in &self.lines {
            members.push(Arc::new(member::join(&line.settings, &line.topics, line.crew.clone())?));
        }
        let mut ran = Ok(());
        while ran.is_ok() && !stop.load(Ordering::Relaxed) {
            for ((line, member), health) in self.lines.iter().zip(&members).zip(&self.healths) {
                health.beat((self.clock)());
                ran = member::serve(member, POLL).and_then(|()| line.take_over(member));
                if let Some(failure) = line.crew.failure() {
                    ran = Err(failure);
                }
                if ran.is_err() {
                    break;
                }
            }
        }
        self.lines.iter().for_each(|line| line.crew.dismiss());
        let failure = self.lines.iter().find_map(|line| line.crew.failure());
        ran.and(failure.map_or(Ok(()), Err))
    }

    /// Checks the topics as soon as a broker answers. Tells whether to go on.
    fn wait_for_topics(&self, stop: &AtomicBool) -> Result<bool, RunError> {
        let mut backoff = Backoff::new();
        let wanted = || !stop.load(Ordering::Relaxed);
        let beat = || self.healths.iter().for_each(|health| health.beat((self.clock)()));
        for line in &self.lines {
            let Line { settings, topics, .. } = line.as_ref();
            while wanted() {
                let checked = same_with_state(settings, &[&topics.events, &topics.state], &topics.state);
                let written = [
                    (Contract::Event, line.events.clone()),
                    (Contract::DeadLetter, topics.dead_letters.clone()),
                ];
                match checked.and_then(|_| settings.formats.prepare(&written)) {
                    Ok(()) => break,
                    Err(e) if e.remedy() == Remedy::Stop => return Err(e),
                    Err(e) => {
                        let wait = backoff.next_within(settings.patience_ms, &e)?;
                        eprintln!("firewatch: {e}; trying again in {} ms", wait.as_millis());
                        pause_while(wait, wanted, beat);
                    }
                }
            }
        }
        Ok(wanted())
    }
}

impl Line {
    /// Starts a worker for each partition that became ours, and for each whose worker hangs.
    fn take_over(self: &Arc<Self>, member: &Arc<Member>) -> Result<(), RunError> {
        let hung = self.crew.give_up_hung((self.clock)());
        for partition in member.context().newly_assigned().into_iter().chain(hung) {
            let (line, member) = (self.clone(), Arc::downgrade(member));
            let work = move |post: &_| Worker { line: &line, partition, post, member }.run();
            self.crew.start(partition, (self.clock)(), work)?;
        }
        Ok(())
    }
}
