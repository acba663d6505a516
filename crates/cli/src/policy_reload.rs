//! Reloads a changed policy file while the engine runs. An invalid file is refused, and the active policy
//! stays.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use firewatch_engine::ActiveRuleset;
use firewatch_escalation::Policy;
use firewatch_settings::Fault;
use firewatch_telemetry::EngineMetrics;

/// How often the file is checked for changes.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Watches the policy file of a running engine.
pub struct PolicyWatcher {
    pub file: PathBuf,
    pub active_ruleset: Arc<ActiveRuleset>,
    pub metrics: EngineMetrics,
}

impl PolicyWatcher {
    /// Checks the file for changes, forever.
    pub async fn watch(self) {
        let mut seen = std::fs::read_to_string(&self.file).unwrap_or_default();
        let mut ticks = tokio::time::interval(CHECK_INTERVAL);
        loop {
            ticks.tick().await;
            // A file that is being replaced may be absent for a moment.
            let Ok(text) = std::fs::read_to_string(&self.file) else { continue };
            if text != seen {
                self.apply_policy(&text);
                seen = text;
            }
        }
    }

    fn apply_policy(&self, text: &str) {
        let (file, old) = (self.file.display(), self.active_ruleset.get());
        let read = Policy::parse(&file.to_string(), text);
        let checked = read.and_then(|policy| policy.may_replace(&old.policy).map(|()| policy));
        match checked.and_then(|policy| old.with_active_policy(policy)) {
            Ok(ruleset) => {
                let Policy { version, hash, .. } = &ruleset.policy;
                tracing::info!("{file}: version {version}, hash {hash}, is in force");
                let listed = &ruleset.policy.brands;
                for brand in old.policy.brands.keys().filter(|brand| !listed.contains_key(*brand)) {
                    tracing::info!(
                        "brand {brand} is no longer listed; what it has open goes on until it ends"
                    );
                }
                let ruleset = Arc::new(ruleset);
                self.active_ruleset.replace(ruleset.clone());
                self.metrics.policy(&ruleset.policy.version, &ruleset.policy.hash);
                self.metrics.policy_file("taken");
            }
            Err(faults) => {
                faults.iter().for_each(|fault: &Fault| tracing::error!("{file}: {fault}"));
                tracing::error!("{file} is refused; version {} stays in force", old.policy.version);
                self.metrics.policy_file("refused");
            }
        }
    }
}
