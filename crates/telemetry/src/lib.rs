//! Prometheus metrics of one process, by subsystem.
//!
//! Callers meter once, in the runner: no stage of the engine holds metrics code, and this crate knows none of its types. Every
//! metric is described once, in a [`Descriptor`], from which it is registered and documented.

mod collect;
mod descriptor;
mod engine;
mod ingest;

use prometheus::{Error, Registry, TextEncoder};

pub use collect::CollectMetrics;
pub use descriptor::{Descriptor, MetricType};
pub use engine::{EngineMetrics, StateSize};
pub use ingest::IngestMetrics;

/// All metrics of one process. Clones share the same counters.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    /// The run loop: records, effects, state, lag, policies.
    pub engine: EngineMetrics,
    /// Raw topics into events.
    pub ingest: IngestMetrics,
    /// Networks into raw topics.
    pub collect: CollectMetrics,
}

impl Metrics {
    /// Registers every metric.
    ///
    /// # Errors
    /// When a name is not valid, which is a bug of the build.
    pub fn new() -> Result<Self, Error> {
        let registry = Registry::new();
        Ok(Self {
            engine: EngineMetrics::new(&registry)?,
            ingest: IngestMetrics::new(&registry)?,
            collect: CollectMetrics::new(&registry)?,
            registry,
        })
    }

    /// The text that Prometheus scrapes.
    ///
    /// # Errors
    /// When a metric cannot be encoded.
    pub fn text(&self) -> Result<String, Error> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }

    /// Every metric of every subsystem, in the order of the reference.
    #[must_use]
    pub fn catalogue() -> Vec<&'static Descriptor> {
        [engine::ALL, ingest::ALL, collect::ALL].into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_lists_exactly_what_is_registered() {
        let metrics = Metrics::new().unwrap();
        metrics.engine.touch_all();
        metrics.ingest.touch_all();
        metrics.collect.touch_all();
        let text = metrics.text().unwrap();
        let mut scraped: Vec<(&str, &str)> = text
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE "))
            .filter_map(|line| line.split_once(' '))
            .collect();
        scraped.sort_unstable();
        let mut listed: Vec<(&str, &str)> =
            Metrics::catalogue().into_iter().map(|d| (d.name, d.metric_type.as_str())).collect();
        listed.sort_unstable();
        assert_eq!(scraped, listed);
    }
}
