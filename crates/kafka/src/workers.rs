//! The workers of this process, one thread each: starts them, asks them to finish and waits for them.
//!
//! A worker that takes too long to finish, or that sends no heartbeat, is abandoned.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use firewatch_domain::EventTime;
use thiserror::Error;

use crate::backoff::{Backoff, Stopwatch, pause, pause_unless_cancelled};
use crate::client_context::lock;
use crate::{RunError, WallClock};

/// How long a worker may take to finish its round before its partition is given up without it. It cannot
/// commit afterwards.
const FINISH_TIMEOUT: Duration = Duration::from_secs(10);
/// How often to check whether a worker has finished.
const FINISH_POLL_INTERVAL: Duration = Duration::from_millis(2);
/// A worker that is silent for longer than any of its own waits hangs in a client call that never returns.
const HANG_TIMEOUT: firewatch_domain::Duration = firewatch_domain::Duration::from_secs(45);

/// Why this process is not ready: the first condition that is not met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NotReady {
    /// The group has not accepted this process.
    #[error("not a member of the group yet, or no broker has answered")]
    NotMember,
    /// The task of a partition restores its state.
    #[error("partition {0} is being restored")]
    Restoring(u32),
    /// The task of a partition failed and waits for its next try.
    #[error("partition {0} failed and is being retried")]
    Retrying(u32),
}

/// What a worker is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Taking over the partition and restoring its state.
    Restoring,
    /// Processing records.
    Working,
    /// Waiting to retry after an error.
    Retrying,
    /// Ended, with or without an error.
    Finished,
}

/// One worker as the rest of the process sees it: its order, its phase and its last heartbeat.
pub(crate) struct WorkerControl {
    order: AtomicU8,
    phase: AtomicU8,
    last_beat_ms: AtomicI64,
}

/// What the process wants of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// Work on.
    Run,
    /// Commit what is done, and end.
    Finish,
    /// End at once; another process owns the partition.
    Abandon,
}

impl WorkerControl {
    /// Creates the control of a worker that restores.
    pub fn new(now: EventTime) -> Self {
        Self {
            order: AtomicU8::new(Order::Run as u8),
            phase: AtomicU8::new(Phase::Restoring as u8),
            last_beat_ms: now.as_millis().into(),
        }
    }

    /// Returns whether the worker should commit what it has and end.
    pub fn should_finish(&self) -> bool {
        self.order.load(Ordering::Relaxed) != Order::Run as u8
    }

    /// Returns whether the worker should end at once, because nothing it does counts any more.
    pub fn is_abandoned(&self) -> bool {
        self.order.load(Ordering::Relaxed) == Order::Abandon as u8
    }

    /// Asks the worker to commit what it has and to end.
    #[cfg(test)]
    pub fn finish(&self) {
        self.give(Order::Finish);
    }

    fn give(&self, order: Order) {
        self.order.store(order as u8, Ordering::Relaxed);
    }

    pub fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// Records that the worker is alive.
    pub fn heartbeat(&self, now: EventTime) {
        self.last_beat_ms.store(now.as_millis(), Ordering::Relaxed);
    }

    fn last_heartbeat(&self) -> EventTime {
        EventTime::from_millis(self.last_beat_ms.load(Ordering::Relaxed))
    }

    /// Logs the problem and waits before the next try. A worker that should finish does not wait: the next
    /// owner continues from the last commit.
    ///
    /// Fails when the retries have lasted for more than `timeout_ms`.
    pub fn wait_before_retry(
        &self,
        problem: &str,
        backoff: &mut Backoff,
        timeout_ms: u64,
        clock: WallClock,
    ) -> Result<(), RunError> {
        if self.should_finish() {
            tracing::warn!("{problem}; what was read since the last commit is left to the next owner");
            return Ok(());
        }
        let wait = backoff.next_within(timeout_ms, problem)?;
        self.set_phase(Phase::Retrying);
        tracing::warn!("{problem}; trying again in {} ms", wait.as_millis());
        pause_unless_cancelled(wait, || !self.should_finish(), || self.heartbeat(clock()));
        Ok(())
    }

    fn is_in_phase(&self, phase: Phase) -> bool {
        self.phase.load(Ordering::Relaxed) == phase as u8
    }
}

/// Progress of finite input, for recordings and replays. When all tasks have processed their events and actions, and
/// a task what the others forwarded to it, the task sends an end-of-stream watermark to every brand. The input is done
/// when all these watermarks are processed and committed.
#[derive(Default)]
pub(crate) struct EndOfInput {
    /// End-of-stream watermarks expected: brands times tasks; 0 for endless input.
    expected_ends: AtomicUsize,
    /// Number of tasks; 0 for endless input.
    tasks: AtomicUsize,
    /// Tasks that have committed all their events and actions, so that they forward nothing more.
    drained: Mutex<BTreeSet<u32>>,
    /// Final watermarks that each task's dispatchers have received and committed.
    received_ends: Mutex<BTreeMap<u32, usize>>,
    is_complete: AtomicBool,
}

impl EndOfInput {
    /// Declares the input finite and sets how many end-of-stream watermarks to expect.
    pub fn expect_ends(&self, brands: usize, tasks: u32) {
        self.expected_ends.store(brands * tasks as usize, Ordering::Relaxed);
        self.tasks.store(tasks as usize, Ordering::Relaxed);
    }

    /// Notes that a task has committed all its events and actions.
    pub fn mark_drained(&self, partition: u32) {
        lock(&self.drained).insert(partition);
    }

    /// Returns whether every task has committed all its events and actions.
    pub fn is_drained(&self) -> bool {
        lock(&self.drained).len() >= self.tasks.load(Ordering::Relaxed)
    }

    pub fn is_finite(&self) -> bool {
        self.expected_ends.load(Ordering::Relaxed) > 0
    }

    /// Returns whether the input is complete, so that no event or action will be added.
    pub fn is_input_complete(&self) -> bool {
        self.is_complete.load(Ordering::Relaxed)
    }

    pub fn complete_input(&self) {
        self.is_complete.store(true, Ordering::Relaxed);
    }

    /// Sets how many end-of-stream watermarks the brands of a task have processed and committed.
    pub fn set_received(&self, partition: u32, ends: usize) {
        lock(&self.received_ends).insert(partition, ends);
    }

    /// Returns whether every brand has received an end-of-stream watermark from every task.
    pub fn is_done(&self) -> bool {
        self.is_finite()
            && lock(&self.received_ends).values().sum::<usize>() >= self.expected_ends.load(Ordering::Relaxed)
    }
}

/// A worker's control and its thread.
struct WorkerHandle {
    control: Arc<WorkerControl>,
    thread: JoinHandle<()>,
}

/// The workers of this process by partition, and the first failure among them.
#[derive(Default)]
pub(crate) struct Workers {
    handles: Mutex<BTreeMap<u32, WorkerHandle>>,
    is_member: AtomicBool,
    failure: Mutex<Option<RunError>>,
    pub end_of_input: EndOfInput,
}

impl Workers {
    /// Starts a worker for a partition on a new thread.
    pub fn start(
        self: &Arc<Self>,
        partition: u32,
        now: EventTime,
        work: impl FnOnce(&WorkerControl) -> Result<(), RunError> + Send + 'static,
    ) -> Result<(), RunError> {
        let control = Arc::new(WorkerControl::new(now));
        let (own, workers) = (control.clone(), self.clone());
        let body = move || {
            let _span = tracing::info_span!("task", partition).entered();
            if let Err(e) = work(&own) {
                lock(&workers.failure).get_or_insert(e);
            }
            own.set_phase(Phase::Finished);
        };
        let thread = std::thread::Builder::new()
            .name(format!("task-{partition}"))
            .spawn(body)
            .map_err(|e| RunError::Thread(partition, e))?;
        lock(&self.handles).insert(partition, WorkerHandle { control, thread });
        Ok(())
    }

    /// Stops the workers of some partitions. They may commit their round first, unless it is too late because
    /// another member owns the partitions.
    pub fn stop_workers(&self, partitions: &[u32], too_late: bool) {
        let stopped: BTreeMap<u32, WorkerHandle> = {
            let mut handles = lock(&self.handles);
            partitions.iter().filter_map(|p| handles.remove_entry(p)).collect()
        };
        let order = if too_late { Order::Abandon } else { Order::Finish };
        for WorkerHandle { control, .. } in stopped.values() {
            control.give(order);
        }
        let start = Stopwatch::start();
        let mut abandoned = Vec::new();
        for (partition, WorkerHandle { control, thread }) in stopped {
            while !control.is_in_phase(Phase::Finished) && start.elapsed() < FINISH_TIMEOUT {
                pause(FINISH_POLL_INTERVAL);
            }
            if control.is_in_phase(Phase::Finished) {
                // The panic message is already on standard error.
                let _ = thread.join();
            } else {
                control.give(Order::Abandon);
                abandoned.push(partition);
            }
        }
        if !abandoned.is_empty() {
            tracing::warn!(
                partitions = ?abandoned,
                "not committed within {} s; what was read since the last commit is left to the next owner",
                FINISH_TIMEOUT.as_secs()
            );
        }
    }

    /// Abandons workers that hang and returns their partitions. Brokers refuse whatever such a worker still
    /// writes; a worker that was only slow loses its round.
    pub fn abandon_hung(&self, now: EventTime) -> Vec<u32> {
        let mut handles = lock(&self.handles);
        let hung = |control: &WorkerControl| {
            !control.is_in_phase(Phase::Finished) && now - control.last_heartbeat() > HANG_TIMEOUT
        };
        let abandoned: Vec<u32> =
            handles.iter().filter(|(_, handle)| hung(&handle.control)).map(|(p, _)| *p).collect();
        for handle in abandoned.iter().filter_map(|partition| handles.remove(partition)) {
            handle.control.give(Order::Abandon);
        }
        abandoned
    }

    /// Stops all workers; each may commit its round first.
    pub fn stop_all(&self) {
        let all: Vec<u32> = lock(&self.handles).keys().copied().collect();
        self.stop_workers(&all, false);
    }

    /// Returns whether every worker has finished by itself.
    pub fn is_done(&self) -> bool {
        lock(&self.handles).values().all(|handle| handle.control.is_in_phase(Phase::Finished))
    }

    /// Takes the first failure that must stop the process: a worker's error or panic.
    pub fn failure(&self) -> Option<RunError> {
        let panicked = || {
            let handles = lock(&self.handles);
            let is_broken = |handle: &WorkerHandle| {
                handle.thread.is_finished() && !handle.control.is_in_phase(Phase::Finished)
            };
            let broken = handles.iter().find(|(_, handle)| is_broken(handle));
            broken.map(|(p, _)| RunError::Panicked(*p))
        };
        lock(&self.failure).take().or_else(panicked)
    }

    /// Records that the group has accepted this process.
    pub fn mark_joined(&self) {
        self.is_member.store(true, Ordering::Relaxed);
    }

    /// Returns `Ok` when this process is in the group and every task is working, else the first condition
    /// that is not met.
    pub fn readiness(&self) -> Result<(), NotReady> {
        if !self.is_member.load(Ordering::Relaxed) {
            return Err(NotReady::NotMember);
        }
        for (partition, WorkerHandle { control, .. }) in &*lock(&self.handles) {
            if control.is_in_phase(Phase::Restoring) {
                return Err(NotReady::Restoring(*partition));
            }
            if control.is_in_phase(Phase::Retrying) {
                return Err(NotReady::Retrying(*partition));
            }
        }
        Ok(())
    }

    /// Returns the oldest of the last heartbeats of the unfinished workers; `None` without any.
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
        assert_eq!(
            workers.abandon_hung(start + HANG_TIMEOUT),
            [0_u32; 0],
            "the client call may still return"
        );
        let late = start + HANG_TIMEOUT + firewatch_domain::Duration::from_millis(1);
        assert_eq!(workers.abandon_hung(late), [1]);
        assert_eq!(workers.abandon_hung(late), [0_u32; 0], "it was removed before");
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
        // A task that restarts sets its count again.
        for (partition, ends) in [(0, 1), (1, 2), (0, 3), (0, 3), (1, 2)] {
            end_of_input.set_received(partition, ends);
            assert!(end_of_input.is_finite() && !end_of_input.is_done());
        }
        end_of_input.set_received(1, 3);
        assert!(end_of_input.is_done());
    }
}
