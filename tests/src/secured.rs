//! A real Kafka with TLS, SASL and access rights, as `deploy/kafka.sh up --secure` starts it.

use std::ops::Deref;
use std::path::PathBuf;

use crate::{Cluster, Deployment};

/// Ports of a broker's listeners, relative to its plain port; see `deploy/kafka/secure.sh`.
const SASL_PORT: u16 = 30;
const MTLS_PORT: u16 = 50;
const OTHER_HOST_PORT: u16 = 70;

/// A running broker that denies what was not granted. At [`Cluster::bootstrap_servers`] the test itself may do
/// everything.
pub struct SecuredCluster {
    cluster: Cluster,
    port: u16,
}

/// How a client connects.
#[derive(Debug, Clone)]
pub struct Access {
    /// Address of the listener.
    pub broker: String,
    /// File of the certificate authorities that the client trusts.
    pub ca: PathBuf,
    /// How the client proves who it is.
    pub credentials: Credentials,
}

/// How a client proves who it is.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// A user of a SASL mechanism, and the file with the password.
    Password(&'static str, &'static str, PathBuf),
    /// The files of a certificate and its private key.
    Certificate(PathBuf, PathBuf),
}

impl SecuredCluster {
    /// Starts a fresh broker whose plain listener is at `port`.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start_up(name: &str, port: u16) -> Self {
        Self { cluster: Cluster::start_up_with(name, port, 1, &["--secure"]), port }
    }

    /// Returns the path of a certificate, key or password.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.home().join("secure").join(name)
    }

    /// Returns access by a SASL mechanism with the right password.
    #[must_use]
    pub fn by_password(&self, mechanism: &'static str, user: &'static str) -> Access {
        let password = self.file(&format!("{user}.password"));
        self.access(SASL_PORT, Credentials::Password(mechanism, user, password))
    }

    /// Returns access by a client certificate: `client` is one of the principal firewatch.
    #[must_use]
    pub fn by_certificate(&self, name: &str) -> Access {
        let [certificate, key] = ["pem", "key"].map(|ending| self.file(&format!("{name}.{ending}")));
        self.access(MTLS_PORT, Credentials::Certificate(certificate, key))
    }

    /// Returns access to the listener whose certificate is that of another host.
    #[must_use]
    pub fn at_other_host(&self) -> Access {
        Access { broker: self.address(OTHER_HOST_PORT), ..self.by_password("SCRAM-SHA-512", "firewatch") }
    }

    /// Allows the principal firewatch operations on resources, which are arguments of Kafka's tool.
    ///
    /// # Panics
    /// When the tool fails.
    pub fn grant(&self, operations: &[&str], resources: &[&str]) {
        let tool =
            ["org.apache.kafka.tools.AclCommand", "--add", "--allow-principal", "User:firewatch"].as_slice();
        let operations: Vec<&str> = operations.iter().flat_map(|one| ["--operation", *one]).collect();
        let _ = self.tool(&[tool, operations.as_slice(), resources].concat());
    }

    fn access(&self, port: u16, credentials: Credentials) -> Access {
        Access { broker: self.address(port), ca: self.file("ca.pem"), credentials }
    }

    fn address(&self, port: u16) -> String {
        format!("127.0.0.1:{}", self.port + port)
    }
}

impl Deref for SecuredCluster {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        &self.cluster
    }
}

impl Access {
    /// Writes the settings file of a deployment, whose own producers and consumers stay on the plain listener.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn configure(&self, deployment: &mut Deployment) {
        let properties = match &self.credentials {
            Credentials::Password(mechanism, user, _) => format!(
                "\"security.protocol\" = \"SASL_SSL\"\n\"sasl.mechanisms\" = \"{mechanism}\"\n\
                 \"sasl.username\" = \"{user}\"\n"
            ),
            Credentials::Certificate(certificate, key) => format!(
                "\"security.protocol\" = \"SSL\"\n\"ssl.certificate.location\" = \"{}\"\n\
                 \"ssl.key.location\" = \"{}\"\n",
                certificate.display(),
                key.display()
            ),
        };
        let ca = self.ca.display();
        let plain = std::mem::replace(&mut deployment.settings.brokers, self.broker.clone());
        deployment.configure(&format!("[kafka.common]\n\"ssl.ca.location\" = \"{ca}\"\n{properties}"));
        deployment.settings.brokers = plain;
    }

    /// Returns the environment that gives firewatch its password.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        let Credentials::Password(_, _, file) = &self.credentials else { return Vec::new() };
        vec![("FIREWATCH_KAFKA_COMMON_SASL_PASSWORD_FILE".to_owned(), file.display().to_string())]
    }
}
