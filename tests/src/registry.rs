//! Runs a real schema registry for one test.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::root;

/// A running registry. Dropping it stops the process and deletes its data.
pub struct Registry {
    home: PathBuf,
    port: u16,
}

impl Registry {
    /// Starts an empty registry.
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

    /// Returns the base URL of its API.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/apis/ccompat/v7", self.port)
    }

    /// Stops it and deletes its data.
    pub fn stop(&self) {
        self.script("down");
    }

    /// Restarts it.
    pub fn start(&self) {
        self.script("up");
    }

    /// Registers a schema and returns its id. `references` has the format of the API.
    ///
    /// # Panics
    /// When the registry refuses it.
    #[must_use]
    pub fn add(&self, subject: &str, language: &str, schema: &str, references: &Value) -> u32 {
        let body = json!({ "schema": schema, "schemaType": language, "references": references });
        let answer = self.request("POST", &format!("subjects/{subject}/versions"), &body);
        answer["id"].as_u64().unwrap_or_else(|| panic!("{answer}")) as u32
    }

    /// Sends any request to the API.
    ///
    /// # Panics
    /// When the registry does not respond.
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
