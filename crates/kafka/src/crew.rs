//! The tasks at work in this process, each in a thread of its own: started, told to finish, waited for.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use firewatch_domain::EventTime;

use crate::client::lock;
use crate::wait::{Backoff, Since, pause, pause_while};
use crate::{Clock, RunError};

/// How long a task may take to finish what it is at before its partition is given up without it. It cannot commit
/// afterwards.
const FINISH: Duration = Duration::from_secs(10);
/// How often to look whether it has.
const LOOK: Duration = Duration::from_millis(2);
/// A worker that is silent for longer than any wait of its own hangs in a call of the client's that never returns.
const HUNG: firewatch_domain::Duration = firewatch_domain::Duration::from_secs(45);

/// What a worker is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It takes over the partition and reads its state.
    Restoring,
    /// It works on records.
    Working,
    /// Something is wrong, and it tries again.
    Troubled,
    /// It has finished.
    Over,
}

/// One worker, as seen from outside.
pub(crate) struct Post {
    orders: AtomicU8,
    phase: AtomicU8,
    beat: AtomicI64,
}

const WORK: u8 = 0;
const FINISH_UP: u8 = 1;
const ABANDON: u8 = 2;

impl Post {
    fn new(now: EventTime) -> Self {
        Self {
            orders: AtomicU8::new(WORK),
            phase: AtomicU8::new(Phase::Restoring as u8),
            beat: now.as_millis().into(),
        }
    }

    /// It should commit what it has and end.
    pub fn is_to_finish(&self) -> bool {
        self.orders.load(Ordering::Relaxed) != WORK
    }

    /// It should end at once; nothing it does counts any more.
    pub fn is_abandoned(&self) -> bool {
        self.orders.load(Ordering::Relaxed) == ABANDON
    }

    pub fn set(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// It is alive.
    pub fn beat(&self, now: EventTime) {
        self.beat.store(now.as_millis(), Ordering::Relaxed);
    }

    fn last_beat(&self) -> EventTime {
        EventTime::from_millis(self.beat.load(Ordering::Relaxed))
    }

    /// Tells what is wrong and waits before the next try. One that is to finish waits no more: the next owner works on from
    /// the last commit.
    pub fn wait_after(
        &self,
        problem: &str,
        backoff: &mut Backoff,
        patience_ms: u64,
        clock: Clock,
    ) -> Result<(), RunError> {
        if self.is_to_finish() {
            return Ok(());
        }
        let wait = backoff.next_within(patience_ms, problem)?;
        self.set(Phase::Troubled);
        eprintln!("firewatch: {problem}; trying again in {} ms", wait.as_millis());
        pause_while(wait, || !self.is_to_finish(), || self.beat(clock()));
        Ok(())
    }

    fn is(&self, phase: Phase) -> bool {
        self.phase.load(Ordering::Relaxed) == phase as u8
    }
}

/// How far a stream that has an end has come, for recordings and replays: when all events are worked on, each task tells
/// each brand so; when all of that has been heard, everything was.
#[derive(Default)]
pub(crate) struct Course {
    /// Times that a brand hears from a task that nothing will follow; none for streams without an end.
    expected: AtomicUsize,
    heard: AtomicUsize,
    fed: AtomicBool,
}

impl Course {
    /// The stream has an end, and its time is not the wall clock's.
    pub fn end_with(&self, brands: usize, tasks: u32) {
        self.expected.store(brands * tasks as usize, Ordering::Relaxed);
    }

    pub fn is_finite(&self) -> bool {
        self.expected.load(Ordering::Relaxed) > 0
    }

    /// No events or actions will be added.
    pub fn is_fed(&self) -> bool {
        self.fed.load(Ordering::Relaxed)
    }

    pub fn fed(&self) {
        self.fed.store(true, Ordering::Relaxed);
    }

    /// A brand was told by a task that nothing will follow, and that is committed.
    pub fn heard(&self) {
        self.heard.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether nothing is left to do.
    pub fn is_over(&self) -> bool {
        self.is_finite() && self.heard.load(Ordering::Relaxed) >= self.expected.load(Ordering::Relaxed)
    }
}

/// A worker and its thread.
struct Hand {
    post: Arc<Post>,
    thread: JoinHandle<()>,
}

/// The workers.
#[derive(Default)]
pub(crate) struct Crew {
    at_work: Mutex<BTreeMap<u32, Hand>>,
    is_member: AtomicBool,
    failure: Mutex<Option<RunError>>,
    pub course: Course,
}

impl Crew {
    /// Starts a worker.
    pub fn start(
        self: &Arc<Self>,
        partition: u32,
        now: EventTime,
        work: impl FnOnce(&Post) -> Result<(), RunError> + Send + 'static,
    ) -> Result<(), RunError> {
        let post = Arc::new(Post::new(now));
        let (own, crew) = (post.clone(), self.clone());
        let body = move || {
            if let Err(e) = work(&own) {
                lock(&crew.failure).get_or_insert(e);
            }
            own.set(Phase::Over);
        };
        let thread = std::thread::Builder::new()
            .name(format!("task-{partition}"))
            .spawn(body)
            .map_err(|e| RunError::Topics(format!("start a thread for partition {partition}: {e}")))?;
        lock(&self.at_work).insert(partition, Hand { post, thread });
        Ok(())
    }

    /// Ends workers: lets them commit what they have, unless it is too late for that.
    pub fn give_up(&self, partitions: &[u32], too_late: bool) {
        let gone: Vec<_> = {
            let mut at_work = lock(&self.at_work);
            partitions.iter().filter_map(|p| at_work.remove(p)).collect()
        };
        let order = if too_late { ABANDON } else { FINISH_UP };
        for Hand { post, .. } in &gone {
            post.orders.store(order, Ordering::Relaxed);
        }
        let start = Since::now();
        for Hand { post, thread } in gone {
            while !post.is(Phase::Over) && start.elapsed() < FINISH {
                pause(LOOK);
            }
            if post.is(Phase::Over) {
                // A panic has been told on standard error.
                let _ = thread.join();
            } else {
                post.orders.store(ABANDON, Ordering::Relaxed);
            }
        }
    }

    /// Gives up workers that hang, and tells whose partitions they had. Whatever they still do is refused or comes to
    /// nothing; one that was only slow loses its round.
    pub fn give_up_hung(&self, now: EventTime) -> Vec<u32> {
        let mut at_work = lock(&self.at_work);
        let hung = |post: &Post| !post.is(Phase::Over) && now - post.last_beat() > HUNG;
        let gone: Vec<u32> = at_work.iter().filter(|(_, hand)| hung(&hand.post)).map(|(p, _)| *p).collect();
        for hand in gone.iter().filter_map(|partition| at_work.remove(partition)) {
            hand.post.orders.store(ABANDON, Ordering::Relaxed);
        }
        gone
    }

    /// Ends all workers.
    pub fn dismiss(&self) {
        let all: Vec<u32> = lock(&self.at_work).keys().copied().collect();
        self.give_up(&all, false);
    }

    /// Whether every worker has come to the end of its own accord.
    pub fn is_done(&self) -> bool {
        lock(&self.at_work).values().all(|hand| hand.post.is(Phase::Over))
    }

    /// The first failure that stops everything.
    pub fn failure(&self) -> Option<RunError> {
        let panicked = || {
            let at_work = lock(&self.at_work);
            let is_broken = |hand: &Hand| hand.thread.is_finished() && !hand.post.is(Phase::Over);
            let broken = at_work.iter().find(|(_, hand)| is_broken(hand));
            broken.map(|(p, _)| RunError::Topics(format!("the worker of partition {p} broke down")))
        };
        lock(&self.failure).take().or_else(panicked)
    }

    /// The group has taken us in.
    pub fn joined(&self) {
        self.is_member.store(true, Ordering::Relaxed);
    }

    /// Whether we are in the group and every task of ours works, or what keeps it from that.
    pub fn readiness(&self) -> Result<(), String> {
        if !self.is_member.load(Ordering::Relaxed) {
            return Err("not in the group yet, or no broker has answered".into());
        }
        for (partition, Hand { post, .. }) in &*lock(&self.at_work) {
            if post.is(Phase::Restoring) {
                return Err(format!("partition {partition} is being restored"));
            }
            if post.is(Phase::Troubled) {
                return Err(format!("partition {partition} is in trouble and tries again"));
            }
        }
        Ok(())
    }

    /// When the worker that has been silent for longest was last heard of.
    pub fn oldest_beat(&self) -> Option<EventTime> {
        let at_work = lock(&self.at_work);
        let working = at_work.values().filter(|hand| !hand.post.is(Phase::Over));
        working.map(|hand| hand.post.last_beat()).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_hangs_is_given_up_and_one_that_is_heard_of_is_not() {
        let crew = Arc::new(Crew::default());
        let start = EventTime::from_millis(1_000_000);
        let abandoned = Arc::new(AtomicBool::new(false));
        for partition in [1, 2] {
            let own = abandoned.clone();
            let work = move |post: &Post| {
                while !post.is_to_finish() {
                    if partition == 2 {
                        post.beat(start + HUNG);
                    }
                    pause(LOOK);
                }
                own.fetch_or(partition == 1 && post.is_abandoned(), Ordering::Relaxed);
                Ok(())
            };
            crew.start(partition, start, work).unwrap();
        }
        pause(Duration::from_millis(50));
        assert_eq!(crew.give_up_hung(start + HUNG), [0_u32; 0], "it may still come back");
        let late = start + HUNG + firewatch_domain::Duration::from_millis(1);
        assert_eq!(crew.give_up_hung(late), [1]);
        assert_eq!(crew.give_up_hung(late), [0_u32; 0], "its place is free");
        while !abandoned.load(Ordering::Relaxed) {
            pause(LOOK);
        }
        crew.dismiss();
    }

    #[test]
    fn a_stream_is_over_when_every_brand_has_heard_from_every_task() {
        let course = Course::default();
        assert!(!course.is_finite() && !course.is_over());
        course.end_with(2, 3);
        for _ in 0..6 {
            assert!(course.is_finite() && !course.is_over());
            course.heard();
        }
        assert!(course.is_over());
    }
}
