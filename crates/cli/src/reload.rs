//! Takes a changed policy file over while running. A bad one is refused, and the old one stays.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use firewatch_settings::Fault;
use firewatch_engine::InForce;
use firewatch_telemetry::EngineMetrics;
use firewatch_escalation::Policy;

/// How often the file is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// The file that is watched.
pub struct Watch {
    pub file: PathBuf,
    pub in_force: Arc<InForce>,
    pub metrics: EngineMetrics,
}

impl Watch {
    /// Looks at the file again and again.
    pub async fn watch(self) {
        let mut seen = std::fs::read_to_string(&self.file).unwrap_or_default();
        let mut looks = tokio::time::interval(LOOK);
        loop {
            looks.tick().await;
            // One that is being replaced may be away for a moment.
            let Ok(text) = std::fs::read_to_string(&self.file) else { continue };
            if text != seen {
                self.take(&text);
                seen = text;
            }
        }
    }

    fn take(&self, text: &str) {
        let (file, old) = (self.file.display(), self.in_force.get());
        let read = Policy::parse(&file.to_string(), text);
        let checked = read.and_then(|policy| policy.may_replace(&old.policy).map(|()| policy));
        match checked.and_then(|policy| old.replaced_by(policy)) {
            Ok(brain) => {
                let Policy { version, hash, .. } = &brain.policy;
                eprintln!("firewatch: {file}: version {version}, hash {hash}, is in force");
                let brain = Arc::new(brain);
                self.in_force.replace(brain.clone());
                self.metrics.policy(&brain.policy.version, &brain.policy.hash);
                self.metrics.policy_file("taken");
            }
            Err(faults) => {
                faults.iter().for_each(|fault: &Fault| eprintln!("firewatch: {file}: {fault}"));
                eprintln!("firewatch: {file} is refused; version {} stays in force", old.policy.version);
                self.metrics.policy_file("refused");
            }
        }
    }
}
