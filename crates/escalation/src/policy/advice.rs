//! Advice: what to do next, as the policy's owner has written it down.
//!
//! What holds without any is from Herhausen, Ludwig, Grewal, Wulf and Schoegel, "Detecting, Preventing, and Mitigating
//! Online Firestorms in Brand Communities", Journal of Marketing 83(3), 2019, doi:10.1177/0022242918822300 (472,995
//! negative posts, 89 brands); what is about personal data and the law is practice.

use firewatch_settings::Settings;

use super::routes::optional_condition;
use crate::{Condition, Facts};

/// A piece of advice.
#[derive(Debug, Clone, PartialEq)]
pub struct Advice {
    /// For which conversations; none: for storms.
    pub when: Option<Condition>,
    /// What to do.
    pub text: String,
}

/// The advice of a policy that gives none.
const DEFAULT_ADVICE: &str = r#"
[advice.early]
when = "viral < 0.9 && !answered && complaint >= 0.5"
says = "Apologise, and ask to go on in private: early on, both keep it from spreading"
[advice.no_gifts]
when = "viral < 0.9 && !answered && risk >= 10"
says = "Offer no compensation in public yet: early on it makes a post spread more"
[advice.angry]
when = "arousal >= 0.5 && complaint >= 0.5"
says = "It is angry: explain what happened and what is done about it"
[advice.calm]
when = "read && arousal < 0.5 && complaint >= 0.5"
says = "It is calm: show that you understand, rather than explain"
[advice.viral]
when = "viral >= 0.9"
says = "It is too late to move it to private: answer where it spreads, and offer compensation only with an explanation"
[advice.personal]
when = '"personal_data" in flags'
says = "It shows health or identity data: repeat nothing of it, and do not say that the author is a customer"
[advice.legal]
when = '"legal_threat" in flags'
says = "Ask legal counsel before you answer"
[advice.storm]
storms = true
says = "Give one explanation of what happened and what is done about it, in one place, and point to it from every answer"
"#;

/// Reads the sections of advice; without any, the usual one holds.
pub(super) fn read(s: &mut Settings) -> Vec<Advice> {
    if !s.has("advice")
        && let Ok(mut defaults) = Settings::parse("the usual advice", DEFAULT_ADVICE)
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

/// What is advised for a conversation.
#[must_use]
pub(crate) fn matching_advice(all: &[Advice], facts: &Facts<'_>) -> Vec<String> {
    let holds = |advice: &&Advice| advice.when.as_ref().is_some_and(|when| when.holds(facts));
    all.iter().filter(holds).map(|advice| advice.text.clone()).collect()
}
