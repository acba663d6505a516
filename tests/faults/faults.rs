//! The faults and how to inject them. After each, the cluster and the instances are healthy again.

use std::time::{Duration, Instant};

use crate::world::{PARTITIONS, SESSION, World};

/// A fault to inject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Kill,
    Zombie,
    Rolling,
    Scale,
    BrokerRestart,
    BrokerKill,
    Coordinator,
    SlowOutput,
    Both,
    MidRestore,
}

/// All faults, those of brokers first.
pub const ALL: [Fault; 10] = [
    Fault::BrokerRestart,
    Fault::BrokerKill,
    Fault::Coordinator,
    Fault::SlowOutput,
    Fault::Both,
    Fault::Kill,
    Fault::Zombie,
    Fault::Rolling,
    Fault::Scale,
    Fault::MidRestore,
];

/// A moment, and the partitions to observe from then on.
pub type Moment = (Instant, Vec<u32>);

/// How long outputs are observed after a moment.
pub const OBSERVATION_TIME: Duration = Duration::from_secs(5);

/// The result of one injection.
#[derive(Default)]
pub struct Injected {
    /// Moments of a rebalance, with the partitions that stayed with their instance.
    pub stayed: Vec<Moment>,
    /// Moments without a fault.
    pub undisturbed: Vec<Moment>,
    /// True if it is not certain that the fault hit its target.
    pub missed: bool,
}

impl Fault {
    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill -9 of an instance",
            Self::Zombie => "SIGSTOP past the session, SIGCONT",
            Self::Rolling => "rolling restart of all instances",
            Self::Scale => "one instance joins and leaves",
            Self::BrokerRestart => "restart of a broker",
            Self::BrokerKill => "kill -9 of a broker",
            Self::Coordinator => "transaction coordinator lost",
            Self::SlowOutput => "a broker hangs (slow output)",
            Self::Both => "kill -9 of a broker, then of an instance",
            Self::MidRestore => "rebalance during a restore",
        }
    }

    /// Whether a broker is the one that breaks.
    pub fn is_of_brokers(self) -> bool {
        matches!(
            self,
            Self::BrokerRestart | Self::BrokerKill | Self::Coordinator | Self::SlowOutput | Self::Both
        )
    }

    /// Injects the fault and waits until everything is healthy again.
    pub fn inject(self, world: &mut World) -> Injected {
        world.pause(0..1000);
        let mut injected = Injected::default();
        match self {
            Self::Kill => {
                let victim = world.any();
                world.instances.remove(victim).kill();
                world.pause(0..3000);
                world.add();
            }
            Self::Zombie => {
                let victim = world.any();
                world.instances[victim].signal("STOP");
                world.wait_until_replaced(victim);
                world.pause(0..4000);
                world.instances[victim].signal("CONT");
            }
            Self::Rolling => {
                for _ in 0..world.instances.len() {
                    let mut old = world.instances.remove(0);
                    assert!(old.stop(), "the instance did not stop cleanly; see {}", old.log.display());
                    world.add();
                    world.wait_until_well();
                }
            }
            Self::Scale => scale(world, &mut injected),
            Self::MidRestore => injected.missed = !mid_restore(world),
            Self::BrokerRestart => {
                let victim = world.any_broker();
                world.cluster.stop(victim);
                world.pause(0..2000);
                world.cluster.start(victim);
            }
            Self::BrokerKill => {
                let victim = world.any_broker();
                kill_broker(world, victim);
            }
            Self::Coordinator => {
                let task = world.rng.u32(0..PARTITIONS);
                let victim = world.coordinator_for(task);
                kill_broker(world, victim);
            }
            Self::Both => both(world),
            Self::SlowOutput => {
                let victim = world.any_broker();
                world.cluster.signal(victim, "STOP");
                world.pause(2000..12_000);
                world.cluster.signal(victim, "CONT");
            }
        }
        if self.is_of_brokers() {
            world.wait_for_copies();
        }
        world.wait_until_well();
        injected
    }
}

fn kill_broker(world: &mut World, victim: u16) {
    world.cluster.kill(victim);
    world.pause(0..5000);
    world.cluster.start(victim);
}

/// Kills a broker, so that commits are interrupted, and an instance before it can recover them.
fn both(world: &mut World) {
    let broker = world.any_broker();
    world.cluster.kill(broker);
    world.pause(500..3000);
    let victim = world.any();
    world.instances.remove(victim).kill();
    world.pause(0..3000);
    world.cluster.start(broker);
    world.add();
}

/// Adds one instance, lets it work for a while and removes it. Records which partitions did not move.
fn scale(world: &mut World, injected: &mut Injected) {
    injected.undisturbed.push((Instant::now(), (0..PARTITIONS).collect()));
    std::thread::sleep(OBSERVATION_TIME);
    let before: Vec<Vec<u32>> = world.instances.iter().map(|i| i.partitions()).collect();
    let joins = Instant::now();
    world.add();
    if world.rng.bool() {
        // The instance leaves during the rebalance that it caused.
        world.pause(200..3000);
        let mut newest = world.instances.pop().expect("the instance that joined");
        assert!(newest.stop(), "the instance did not stop cleanly; see {}", newest.log.display());
        world.wait_until_well();
        return;
    }
    world.wait_until_well();
    let after: Vec<Vec<u32>> = world.instances.iter().map(|i| i.partitions()).collect();
    let both = before.iter().zip(&after).flat_map(|(b, a)| b.iter().filter(|p| a.contains(p)));
    injected.stayed.push((joins, both.copied().collect()));
    world.pause(500..2000);
    let leaves = Instant::now();
    let mut newest = world.instances.pop().expect("the instance that joined");
    assert!(newest.stop(), "the instance did not stop cleanly; see {}", newest.log.display());
    world.wait_until_well();
    let last: Vec<Vec<u32>> = world.instances.iter().map(|i| i.partitions()).collect();
    let both = after.iter().zip(&last).flat_map(|(b, a)| b.iter().filter(|p| a.contains(p)));
    injected.stayed.push((leaves, both.copied().collect()));
    // Keeps the observation clear of the next fault.
    std::thread::sleep(OBSERVATION_TIME.saturating_sub(leaves.elapsed()));
}

/// Kills an instance, and then the next one as soon as it restores a partition. Returns whether it was caught
/// while restoring.
fn mid_restore(world: &mut World) -> bool {
    let victim = world.any();
    world.instances.remove(victim).kill();
    let start = Instant::now();
    let restoring = |world: &World| {
        world.instances.iter().position(|i| i.get("/readyz").is_some_and(|a| a.contains("being restored")))
    };
    let mut caught = None;
    while caught.is_none() && start.elapsed() < SESSION * 3 {
        caught = restoring(world);
        std::thread::sleep(Duration::from_millis(2));
    }
    if let Some(at_it) = caught {
        world.instances.remove(at_it).kill();
        world.add();
    }
    world.add();
    caught.is_some()
}
