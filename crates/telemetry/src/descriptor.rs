//! Descriptors of metrics: name, type, labels and help. Registration and the reference page use the same
//! descriptor.

use prometheus::core::Collector;
use prometheus::{
    CounterVec, Error, Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry,
};

/// Upper bounds of the latency histograms, in seconds.
const LATENCY_BUCKETS: [f64; 14] =
    [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0, 3600.0];

/// The type of a metric, in Prometheus' terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricType {
    /// A value that only increases.
    Counter,
    /// A value that increases and decreases.
    Gauge,
    /// Observations counted in buckets.
    Histogram,
}

impl MetricType {
    /// Returns the name in the exposition format.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// The description of one metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptor {
    /// The name, with the unit and, for a counter, `_total` at the end.
    pub name: &'static str,
    /// The type.
    pub metric_type: MetricType,
    /// The names of the labels.
    pub labels: &'static [&'static str],
    /// What the metric measures, in one sentence.
    pub help: &'static str,
}

impl Descriptor {
    pub(crate) const fn counter(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self { name, metric_type: MetricType::Counter, labels, help }
    }

    pub(crate) const fn gauge(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self { name, metric_type: MetricType::Gauge, labels, help }
    }

    pub(crate) const fn histogram(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self { name, metric_type: MetricType::Histogram, labels, help }
    }

    fn opts(&self) -> Opts {
        Opts::new(self.name, self.help)
    }

    fn histogram_opts(&self) -> HistogramOpts {
        HistogramOpts::new(self.name, self.help).buckets(LATENCY_BUCKETS.to_vec())
    }

    pub(crate) fn int_counter(&self, registry: &Registry) -> Result<IntCounterVec, Error> {
        registered(registry, IntCounterVec::new(self.opts(), self.labels)?)
    }

    pub(crate) fn float_counter(&self, registry: &Registry) -> Result<CounterVec, Error> {
        registered(registry, CounterVec::new(self.opts(), self.labels)?)
    }

    pub(crate) fn int_gauge(&self, registry: &Registry) -> Result<IntGaugeVec, Error> {
        registered(registry, IntGaugeVec::new(self.opts(), self.labels)?)
    }

    pub(crate) fn histogram_vec(&self, registry: &Registry) -> Result<HistogramVec, Error> {
        registered(registry, HistogramVec::new(self.histogram_opts(), self.labels)?)
    }

    pub(crate) fn plain_histogram(&self, registry: &Registry) -> Result<Histogram, Error> {
        registered(registry, Histogram::with_opts(self.histogram_opts())?)
    }
}

fn registered<C: Collector + Clone + 'static>(registry: &Registry, metric: C) -> Result<C, Error> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}
