//! Prometheus metrics of one process, by subsystem.
//!
//! Only the runner records metrics: no stage of the engine contains metrics code, and this crate uses none of
//! the engine's types. Each metric has one [`Descriptor`], from which it is registered and documented.

mod collect;
mod descriptor;
mod engine;
mod ingest;
mod logging;

use prometheus::{Error, Registry, TextEncoder};

pub use collect::CollectMetrics;
pub use descriptor::{Descriptor, MetricType};
pub use engine::{EngineMetrics, StateSize};
pub use ingest::IngestMetrics;
pub use logging::{LogFormat, LogSettings, REPEAT_INTERVAL, start_log};

/// All metrics of one process. Clones share the same counters.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    /// Metrics of `firewatch run`.
    pub engine: EngineMetrics,
    /// Metrics of `firewatch ingest`.
    pub ingest: IngestMetrics,
    /// Metrics of `firewatch collect`.
    pub collect: CollectMetrics,
}

impl Metrics {
    /// Registers every metric.
    ///
    /// # Errors
    /// If a name is invalid or registered twice, which is a bug.
    pub fn new() -> Result<Self, Error> {
        let registry = Registry::new();
        Ok(Self {
            engine: EngineMetrics::new(&registry)?,
            ingest: IngestMetrics::new(&registry)?,
            collect: CollectMetrics::new(&registry)?,
            registry,
        })
    }

    /// Returns the metrics in the text format that Prometheus scrapes.
    ///
    /// # Errors
    /// If a metric cannot be encoded.
    pub fn text(&self) -> Result<String, Error> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }

    /// Returns the descriptors of all metrics, in the order of the reference page.
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
