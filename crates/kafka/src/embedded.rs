//! A Kafka cluster inside this process: librdkafka's mock broker, with real topics and real clients.
//!
//! For the demo and for tests. It keeps 5 MiB a partition and no transactions; exactly-once is proved elsewhere.

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use crate::{RunError, Topics, client_error};

/// A running embedded broker; it ends when dropped.
pub struct EmbeddedBroker {
    cluster: MockCluster<'static, DefaultProducerContext>,
}

impl EmbeddedBroker {
    /// Starts a broker on a loopback port and makes the topics.
    ///
    /// # Errors
    /// When the broker cannot start.
    pub fn start(topics: &Topics, teams: &[&str], partitions: u32) -> Result<Self, RunError> {
        let cluster = MockCluster::new(1).map_err(client_error("start the embedded broker"))?;
        for topic in topics.all(teams) {
            cluster
                .create_topic(&topic, partitions as i32, 1)
                .map_err(client_error(format!("make topic {topic}")))?;
        }
        Ok(Self { cluster })
    }

    /// Where any Kafka client finds it.
    #[must_use]
    pub fn bootstrap_servers(&self) -> String {
        self.cluster.bootstrap_servers()
    }
}
