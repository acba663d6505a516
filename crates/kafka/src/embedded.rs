//! A Kafka cluster inside this process: librdkafka's mock broker, with real topics and real clients.
//!
//! For the demo and for tests. It keeps 5 MiB per partition and has no transactions, so exactly-once is
//! tested on a real broker.

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use crate::{RunError, Topics, client_error};

/// A running embedded broker; dropping it stops it.
pub struct EmbeddedBroker {
    cluster: MockCluster<'static, DefaultProducerContext>,
}

impl EmbeddedBroker {
    /// Starts a broker on a loopback port and creates the topics.
    ///
    /// # Errors
    /// When the broker cannot start.
    pub fn start(topics: &Topics, teams: &[&str], partitions: u32) -> Result<Self, RunError> {
        let cluster = MockCluster::new(1).map_err(client_error("start the embedded broker"))?;
        for topic in topics.all(teams) {
            cluster
                .create_topic(&topic, partitions as i32, 1)
                .map_err(client_error(format!("create topic {topic}")))?;
        }
        Ok(Self { cluster })
    }

    /// Returns the broker's address, as `host:port`.
    #[must_use]
    pub fn bootstrap_servers(&self) -> String {
        self.cluster.bootstrap_servers()
    }
}
