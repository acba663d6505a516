//! Events to measure with, made as fast as they are written.

use firewatch_domain::EventTime;

/// The policy: an angry post is told to PR at once, so that its way is measured and not its wait.
pub const POLICY: &str = "horizon = \"10m\"\nviral_bar = 60\n[brands.acme]\n[routes.viral]\nteam = \"pr\"\nwhen = { medium = \"risk >= 6\" }\n";
/// Event time of the first record: 2026-03-10T14:00:00Z.
const START: i64 = 1_773_151_200_000;
/// Event time from one record to the next, milliseconds.
const STEP: i64 = 1;
/// Events of each conversation: a post and what follows it.
const EACH: usize = 10;
/// Conversations that go on at once.
const ABREAST: usize = 1000;

/// A post of a conversation.
pub fn post(conversation: usize, at: EventTime, text: &str) -> (String, Vec<u8>) {
    let key = format!("c{conversation}");
    let event = format!(
        r#"{{"v":1,"id":"p","conversation":"{key}","at":"{at}","brand":"acme","platform":"x","post":{{"id":"{key}","author":{{"id":"a{conversation}","followers":900}},"text":"{text}","lang":"en"}}}}"#
    );
    (key, event.into_bytes())
}

/// Complaints that nobody could take for praise.
pub const ANGRY: &str = "This is terrible, the worst service ever, I am so angry and disgusted";
const CALM: &str = "Where do I find the form for next year?";

/// The n-th event of an endless stream of conversations that each get a post and nine engagements.
pub fn nth(n: usize) -> (String, Vec<u8>) {
    let at = EventTime::from_millis(START + n as i64 * STEP);
    // Conversations take turns in groups, so that their events are not side by side.
    let (group, within) = (n / (ABREAST * EACH), n % (ABREAST * EACH));
    let conversation = group * ABREAST + within % ABREAST;
    match within / ABREAST {
        0 => post(conversation, at, if conversation.is_multiple_of(4) { ANGRY } else { CALM }),
        i => {
            let key = format!("c{conversation}");
            let kind = if i % 2 == 0 { "like" } else { "reshare" };
            let event = format!(
                r#"{{"v":1,"id":"e{i}","conversation":"{key}","at":"{at}","engagement":{{"kind":"{kind}","actor":"u{n}","followers":300}}}}"#
            );
            (key, event.into_bytes())
        }
    }
}
