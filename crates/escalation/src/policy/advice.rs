//! Advice of the policy: what to do next.
//!
//! The built-in advice follows Herhausen, Ludwig, Grewal, Wulf and Schoegel, "Detecting, Preventing, and
//! Mitigating Online Firestorms in Brand Communities", Journal of Marketing 83(3), 2019,
//! doi:10.1177/0022242918822300 (472,995 negative posts, 89 brands). The advice on personal data and legal
//! threats is common practice.

use firewatch_settings::Settings;

use super::routes::optional_condition;
use crate::{Condition, Facts};

/// One piece of advice.
#[derive(Debug, Clone, PartialEq)]
pub struct Advice {
    /// Condition for the conversations it applies to; `None` for storms.
    pub when: Option<Condition>,
    /// What to do.
    pub text: String,
}

/// Advice of a policy without advice sections.
const DEFAULT_ADVICE: &str = r#"
[advice.early]
when = "viral < 0.9 && !answered && complaint >= 0.5"
says = "Apologise and ask to continue in private: early on, both limit the spread"
[advice.no_gifts]
when = "viral < 0.9 && !answered && risk >= 10"
says = "Do not offer compensation in public yet: early on, it increases the spread"
[advice.angry]
when = "arousal >= 0.5 && complaint >= 0.5"
says = "The author is angry: explain what happened and what is being done about it"
[advice.calm]
when = "read && arousal < 0.5 && complaint >= 0.5"
says = "The author is calm: show understanding rather than explaining"
[advice.viral]
when = "viral >= 0.9"
says = "Too late for a private channel: answer where the post spreads, and offer compensation only with an explanation"
[advice.personal]
when = '"personal_data" in flags'
says = "The post contains health or identity data: repeat none of it, and do not confirm that the author is a customer"
[advice.legal]
when = '"legal_threat" in flags'
says = "Ask legal counsel before you answer"
[advice.storm]
storms = true
says = "Publish one explanation of what happened and what is being done, in one place, and link to it from every answer"
"#;

/// Reads the advice sections. Without any, the built-in advice applies.
pub(super) fn read(s: &mut Settings) -> Vec<Advice> {
    if !s.has("advice")
        && let Ok(mut defaults) = Settings::parse("built-in advice", DEFAULT_ADVICE)
    {
        return all(&mut defaults);
    }
    all(s)
}

fn all(s: &mut Settings) -> Vec<Advice> {
    let mut all = Vec::new();
    for name in s.sections("advice") {
        let key = |field: &str| format!("advice.{name}.{field}");
        let (when, storms) = (optional_condition(s, &key("when")), s.flag(&key("storms"), false));
        if when.is_some() == storms && !(when.is_none() && s.has(&key("when"))) {
            s.add_fault(&key("when"), "give either a condition, or storms = true");
        }
        all.push(Advice { when, text: s.text(&key("says"), &name) });
    }
    all
}

/// Returns the advice for a conversation.
#[must_use]
pub(crate) fn matching_advice(all: &[Advice], facts: &Facts<'_>) -> Vec<String> {
    let holds = |advice: &&Advice| advice.when.as_ref().is_some_and(|when| when.holds(facts));
    all.iter().filter(holds).map(|advice| advice.text.clone()).collect()
}
