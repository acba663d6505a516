//! The tasks at work in this process, each in a thread of its own: started, told to finish, waited for.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use firewatch_domain::EventTime;

use crate::backoff::{Backoff, Stopwatch, pause, pause_unless_cancelled};
use crate::client_context::lock;
use crate::{RunError, WallClock};

/// How long a task may take to finish what it is at before its partition is given up without it. It cannot commit
/// afterwards.
const FINISH_TIMEOUT: Duration = Duration::from_secs(10);
/// How often to look whether it has.
const FINISH_POLL_INTERVAL: Duration = Duration::from_millis(2);
/// A worker that is silent for longer than any wait of its own hangs in a call of the client's that never returns.
const HANG_TIMEOUT: firewatch_domain::Duration = firewatch_domain::Duration::from_secs(45);

/// What a worker is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It takes over the partition and reads its state.
    Restoring,
    /// It works on records.
    Working,
    /// Something is wrong, and it tries again.
    Retrying,
    /// It has finished.
    Finished,
}

/// One worker, as seen from outside.
pub(crate) struct WorkerControl {
    order: AtomicU8,
    phase: AtomicU8,
    last_beat_ms: AtomicI64,
}

const ORDER_RUN: u8 = 0;
const ORDER_FINISH: u8 = 1;
const ORDER_ABANDON: u8 = 2;

impl WorkerControl {
    fn new(now: EventTime) -> Self {
        Self {
            order: AtomicU8::new(ORDER_RUN),
            phase: AtomicU8::new(Phase::Restoring as u8),
            last_beat_ms: now.as_millis().into(),
        }
    }

    /// It should commit what it has and end.
    pub fn should_finish(&self) -> bool {
        self.order.load(Ordering::Relaxed) != ORDER_RUN
    }

    /// It should end at once; nothing it does counts any more.
    pub fn is_abandoned(&self) -> bool {
        self.order.load(Ordering::Relaxed) == ORDER_ABANDON
    }

    pub fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// It is alive.
    pub fn heartbeat(&self, now: EventTime) {
        self.last_beat_ms.store(now.as_millis(), Ordering::Relaxed);
    }

    fn last_heartbeat(&self) -> EventTime {
        EventTime::from_millis(self.last_beat_ms.load(Ordering::Relaxed))
    }

    /// Tells what is wrong and waits before the next try. One that is to finish waits no more: the next owner works on from
    /// the last commit.
    pub fn wait_before_retry(
        &self,
        problem: &str,
        backoff: &mut Backoff,
        timeout_ms: u64,
        clock: WallClock,
    ) -> Result<(), RunError> {
        if self.should_finish() {
            return Ok(());
        }
        let wait = backoff.next_within(timeout_ms, problem)?;
        self.set_phase(Phase::Retrying);
        eprintln!("firewatch: {problem}; trying again in {} ms", wait.as_millis());
        pause_unless_cancelled(wait, || !self.should_finish(), || self.heartbeat(clock()));
        Ok(())
    }

    fn is_in_phase(&self, phase: Phase) -> bool {
        self.phase.load(Ordering::Relaxed) == phase as u8
    }
}

/// How far a stream that has an end has come, for recordings and replays: when all events are worked on, each task tells
/// each brand so; when all of that has been heard, everything was.
#[derive(Default)]
pub(crate) struct EndOfInput {
    /// Times that a brand hears from a task that nothing will follow; none for streams without an end.
    expected_ends: AtomicUsize,
    received_ends: AtomicUsize,
    is_complete: AtomicBool,
}

impl EndOfInput {
    /// The stream has an end, and its time is not the wall clock's.
    pub fn expect_ends(&self, brands: usize, tasks: u32) {
        self.expected_ends.store(brands * tasks as usize, Ordering::Relaxed);
    }

    pub fn is_finite(&self) -> bool {
        self.expected_ends.load(Ordering::Relaxed) > 0
    }

    /// No events or actions will be added.
    pub fn is_input_complete(&self) -> bool {
        self.is_complete.load(Ordering::Relaxed)
    }

    pub fn complete_input(&self) {
        self.is_complete.store(true, Ordering::Relaxed);
    }

    /// A brand was told by a task that nothing will follow, and that is committed.
    pub fn record_end(&self) {
        self.received_ends.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether nothing is left to do.
    pub fn is_done(&self) -> bool {
        self.is_finite()
            && self.received_ends.load(Ordering::Relaxed) >= self.expected_ends.load(Ordering::Relaxed)
    }
}

/// A worker and its thread.
struct WorkerHandle {
    control: Arc<WorkerControl>,
    thread: JoinHandle<()>,
}

/// The workers.
#[derive(Default)]
pub(crate) struct Workers {
    handles: Mutex<BTreeMap<u32, WorkerHandle>>,
    is_member: AtomicBool,
    failure: Mutex<Option<RunError>>,
    pub end_of_input: EndOfInput,
}

impl Workers {
    /// Starts a worker.
    pub fn start(
        self: &Arc<Self>,
        partition: u32,
        now: EventTime,
        work: impl FnOnce(&WorkerControl) -> Result<(), RunError> + Send + 'static,
    ) -> Result<(), RunError> {
        let control = Arc::new(WorkerControl::new(now));
        let (own, workers) = (control.clone(), self.clone());
        let body = move || {
            if let Err(e) = work(&own) {
                lock(&workers.failure).get_or_insert(e);
            }
            own.set_phase(Phase::Finished);
        };
        let thread = std::thread::Builder::new()
            .name(format!("task-{partition}"))
            .spawn(body)
            .map_err(|e| RunError::Topics(format!("start a thread for partition {partition}: {e}")))?;
        lock(&self.handles).insert(partition, WorkerHandle { control, thread });
        Ok(())
    }

    /// Ends workers: lets them commit what they have, unless it is too late for that.
    pub fn stop_workers(&self, partitions: &[u32], too_late: bool) {
        let stopped: Vec<_> = {
            let mut handles = lock(&self.handles);
            partitions.iter().filter_map(|p| handles.remove(p)).collect()
        };
        let order = if too_late { ORDER_ABANDON } else { ORDER_FINISH };
        for WorkerHandle { control, .. } in &stopped {
            control.order.store(order, Ordering::Relaxed);
        }
        let start = Stopwatch::start();
        for WorkerHandle { control, thread } in stopped {
            while !control.is_in_phase(Phase::Finished) && start.elapsed() < FINISH_TIMEOUT {
                pause(FINISH_POLL_INTERVAL);
            }
            if control.is_in_phase(Phase::Finished) {
                // A panic has been told on standard error.
                let _ = thread.join();
            } else {
                control.order.store(ORDER_ABANDON, Ordering::Relaxed);
            }
        }
    }

    /// Gives up workers that hang, and tells whose partitions they had. Whatever they still do is refused or comes to
    /// nothing; one that was only slow loses its round.
    pub fn abandon_hung(&self, now: EventTime) -> Vec<u32> {
        let mut handles = lock(&self.handles);
        let hung = |control: &WorkerControl| {
            !control.is_in_phase(Phase::Finished) && now - control.last_heartbeat() > HANG_TIMEOUT
        };
        let abandoned: Vec<u32> =
            handles.iter().filter(|(_, handle)| hung(&handle.control)).map(|(p, _)| *p).collect();
        for handle in abandoned.iter().filter_map(|partition| handles.remove(partition)) {
            handle.control.order.store(ORDER_ABANDON, Ordering::Relaxed);
        }
        abandoned
    }

    /// Ends all workers.
    pub fn stop_all(&self) {
        let all: Vec<u32> = lock(&self.handles).keys().copied().collect();
        self.stop_workers(&all, false);
    }

    /// Whether every worker has come to the end of its own accord.
    pub fn is_done(&self) -> bool {
        lock(&self.handles).values().all(|handle| handle.control.is_in_phase(Phase::Finished))
    }

    /// The first failure that stops everything.
    pub fn failure(&self) -> Option<RunError> {
        let panicked = || {
            let handles = lock(&self.handles);
            let is_broken = |handle: &WorkerHandle| {
                handle.thread.is_finished() && !handle.control.is_in_phase(Phase::Finished)
            };
            let broken = handles.iter().find(|(_, handle)| is_broken(handle));
            broken.map(|(p, _)| RunError::Topics(format!("the worker of partition {p} broke down")))
        };
        lock(&self.failure).take().or_else(panicked)
    }

    /// The group has taken us in.
    pub fn mark_joined(&self) {
        self.is_member.store(true, Ordering::Relaxed);
    }

    /// Whether we are in the group and every task of ours works, or what keeps it from that.
    pub fn readiness(&self) -> Result<(), String> {
        if !self.is_member.load(Ordering::Relaxed) {
            return Err("not in the group yet, or no broker has answered".into());
        }
        for (partition, WorkerHandle { control, .. }) in &*lock(&self.handles) {
            if control.is_in_phase(Phase::Restoring) {
                return Err(format!("partition {partition} is being restored"));
            }
            if control.is_in_phase(Phase::Retrying) {
                return Err(format!("partition {partition} is in trouble and tries again"));
            }
        }
        Ok(())
    }

    /// When the worker that has been silent for longest was last heard of.
    pub fn oldest_heartbeat(&self) -> Option<EventTime> {
        let handles = lock(&self.handles);
        let working = handles.values().filter(|handle| !handle.control.is_in_phase(Phase::Finished));
        working.map(|handle| handle.control.last_heartbeat()).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_worker_without_heartbeats_is_abandoned() {
        let workers = Arc::new(Workers::default());
        let start = EventTime::from_millis(1_000_000);
        let abandoned = Arc::new(AtomicBool::new(false));
        for partition in [1, 2] {
            let own = abandoned.clone();
            let work = move |control: &WorkerControl| {
                while !control.should_finish() {
                    if partition == 2 {
                        control.heartbeat(start + HANG_TIMEOUT);
                    }
                    pause(FINISH_POLL_INTERVAL);
                }
                own.fetch_or(partition == 1 && control.is_abandoned(), Ordering::Relaxed);
                Ok(())
            };
            workers.start(partition, start, work).unwrap();
        }
        pause(Duration::from_millis(50));
        assert_eq!(workers.abandon_hung(start + HANG_TIMEOUT), [0_u32; 0], "it may still come back");
        let late = start + HANG_TIMEOUT + firewatch_domain::Duration::from_millis(1);
        assert_eq!(workers.abandon_hung(late), [1]);
        assert_eq!(workers.abandon_hung(late), [0_u32; 0], "its place is free");
        while !abandoned.load(Ordering::Relaxed) {
            pause(FINISH_POLL_INTERVAL);
        }
        workers.stop_all();
    }

    #[test]
    fn a_stream_is_done_when_every_brand_has_an_end_from_every_task() {
        let end_of_input = EndOfInput::default();
        assert!(!end_of_input.is_finite() && !end_of_input.is_done());
        end_of_input.expect_ends(2, 3);
        for _ in 0..6 {
            assert!(end_of_input.is_finite() && !end_of_input.is_done());
            end_of_input.record_end();
        }
        assert!(end_of_input.is_done());
    }
}
