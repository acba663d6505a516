//! `firewatch guard`: looks in a drafted public reply for what must not be said in public. It does not find everything,
//! so it says what it looked for, and that it found nothing.

use std::io::{Read, stdin};

use firewatch_domain::Channel;
use firewatch_scoring::text::{MAX_SCANNED_BYTES, ReplyChecker, ReplyFault};
use serde_json::{Value, json};

use crate::args::GuardOptions;
use crate::common::{Failure, print_stdout};

/// Bytes of a draft at most: the rest would not be scanned, and no public reply is that long.
const MAX_DRAFT_BYTES: u64 = MAX_SCANNED_BYTES as u64;

/// What is looked for, in words.
const LOOKED_FOR: &str = "words that confirm a customer or patient, requests for identifiers in public, personal data, and \
                          the offer of a private channel";

/// Reads the draft and prints the verdict. Fails when it must not be sent.
pub fn guard(options: &GuardOptions) -> Result<(), Failure> {
    let replies = ReplyChecker::shipped().map_err(|e| Failure::running("guard", e))?;
    let mut draft = String::new();
    let read = stdin().lock().take(MAX_DRAFT_BYTES + 1).read_to_string(&mut draft);
    let bytes = read.map_err(|e| Failure::running("the draft on standard input", e))?;
    if bytes as u64 > MAX_DRAFT_BYTES {
        let problem = format!("longer than {MAX_DRAFT_BYTES} bytes; give one reply");
        return Err(Failure::running("the draft on standard input", problem));
    }
    let (faults, channels) = (replies.faults(&draft), replies.channels(&draft));
    if options.json {
        print_stdout(format_args!("{}\n", as_json(&draft, &faults, &channels)));
    } else {
        print_stdout(describe_verdict(&draft, &faults, &channels));
    }
    if faults.is_empty() { Ok(()) } else { Err(Failure::Reported) }
}

/// Returns whether nothing was found in a draft, and the verdict as text.
pub fn check_draft(draft: &str) -> Result<(bool, String), String> {
    if draft.len() as u64 > MAX_DRAFT_BYTES {
        return Err(format!("it is longer than {MAX_DRAFT_BYTES} bytes; give one reply"));
    }
    let replies = ReplyChecker::shipped().map_err(|e| e.to_string())?;
    let (faults, channels) = (replies.faults(draft), replies.channels(draft));
    Ok((faults.is_empty(), describe_verdict(draft, &faults, &channels)))
}

fn describe_verdict(draft: &str, faults: &[ReplyFault], channels: &[Channel]) -> String {
    if faults.is_empty() {
        let named: Vec<&str> = channels.iter().map(|channel| name(*channel)).collect();
        let offers = if named.is_empty() { "a private channel".into() } else { named.join(", ") };
        return format!(
            "nothing found; it offers {offers}\nlooked for {LOOKED_FOR}; read it once more yourself\n"
        );
    }
    let line = |fault: &ReplyFault| match part(draft, fault) {
        "" => format!("must not be sent: it {}\n", fault.kind.describe()),
        part => format!("must not be sent: \u{201c}{part}\u{201d} {}\n", fault.kind.describe()),
    };
    faults.iter().map(line).collect()
}

fn as_json(draft: &str, faults: &[ReplyFault], channels: &[Channel]) -> Value {
    let characters = |bytes: usize| draft.get(..bytes).unwrap_or_default().chars().count();
    let fault = |fault: &ReplyFault| {
        json!({
            "kind": fault.kind.name(),
            "start": characters(fault.start),
            "end": characters(fault.end),
            "part": part(draft, fault),
            "reason": fault.kind.describe(),
        })
    };
    let faults: Vec<Value> = faults.iter().map(fault).collect();
    json!({ "send": faults.is_empty(), "channels": channels, "faults": faults })
}

fn part<'a>(draft: &'a str, fault: &ReplyFault) -> &'a str {
    draft.get(fault.start..fault.end).unwrap_or_default()
}

fn name(channel: Channel) -> &'static str {
    match channel {
        Channel::Dm => "direct messages",
        Channel::Email => "e-mail",
        Channel::Phone => "phone",
    }
}
