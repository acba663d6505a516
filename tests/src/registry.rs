//! A real schema registry of a test's own.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::root;

/// A running registry; it ends when dropped, and what it holds with it.
pub struct Registry {
    home: PathBuf,
    port: u16,
}

impl Registry {
    /// Starts one that holds nothing.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start_up(name: &str, port: u16) -> Self {
        let registry = Self { home: root().join("target/registry").join(name), port };
        registry.script("down");
        registry.script("up");
        registry
    }

    /// Where its API begins.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/apis/ccompat/v7", self.port)
    }

    /// Ends it; what it holds is gone.
    pub fn stop(&self) {
        self.script("down");
    }

    /// Starts it again.
    pub fn start(&self) {
        self.script("up");
    }

    /// Adds a schema, and tells its id. `references` are as in its API.
    ///
    /// # Panics
    /// When it is refused.
    #[must_use]
    pub fn add(&self, subject: &str, language: &str, schema: &str, references: &Value) -> u32 {
        let body = json!({ "schema": schema, "schemaType": language, "references": references });
        let answer = self.request("POST", &format!("subjects/{subject}/versions"), &body);
        answer["id"].as_u64().unwrap_or_else(|| panic!("{answer}")) as u32
    }

    /// Asks it for anything.
    ///
    /// # Panics
    /// When it does not answer.
    #[must_use]
    pub fn request(&self, method: &str, path: &str, body: &Value) -> Value {
        let (url, method, body) = (format!("{}/{path}", self.url()), method.to_owned(), body.to_string());
        let thread = std::thread::spawn(move || {
            let _ = rustls::crypto::ring::default_provider().install_default();
            let method = method.parse().unwrap_or(reqwest::Method::GET);
            let request = reqwest::blocking::Client::new().request(method, url).body(body);
            let answer = request.header("content-type", "application/vnd.schemaregistry.v1+json").send();
            answer.and_then(reqwest::blocking::Response::json).unwrap_or_else(|e| panic!("{e}"))
        });
        thread.join().unwrap_or_else(|_| panic!("the registry does not answer"))
    }

    fn script(&self, command: &str) {
        let out = Command::new(root().join("deploy/registry.sh"))
            .arg(command)
            .env("REGISTRY_HOME", &self.home)
            .env("REGISTRY_PORT", self.port.to_string())
            .stdin(Stdio::null())
            .output();
        let out = out.unwrap_or_else(|e| panic!("deploy/registry.sh: {e}"));
        let stderr = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "deploy/registry.sh {command}: {stderr}");
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.script("down");
    }
}
