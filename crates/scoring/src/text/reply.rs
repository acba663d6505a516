//! Checks a brand's public reply: which private channels it offers, and what it must not do in public.
//!
//! In health care a reply must not even confirm that the author is a customer, because being a patient is
//! itself protected information (HIPAA, 45 CFR 164.502). A draft is rejected if it confirms this, asks for
//! identifiers in public, shows personal data, or offers no private channel.

mod channels;
mod confirmations;
mod exposure;
mod folded;
mod requests;

use std::ops::Range;
use std::sync::LazyLock;

use firewatch_domain::Channel;

use self::channels::Channels;
use self::confirmations::Confirmations;
use self::exposure::Exposure;
use self::folded::{FoldedText, blank_out_ranges, mark_terms, sentences};
use self::requests::Requests;
use super::patterns::{Pattern, PatternFile};
use crate::ModelError;

/// A rule that a public reply breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReplyFaultKind {
    /// The reply confirms that the author is a customer or patient.
    Confirms,
    /// The reply asks for identifiers in public.
    AsksInPublic,
    /// The reply shows personal data.
    ShowsPersonalData,
    /// The reply offers no private channel.
    NoPrivateChannel,
}

impl ReplyFaultKind {
    /// Returns the name in JSON output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Confirms => "confirms",
            Self::AsksInPublic => "asks_in_public",
            Self::ShowsPersonalData => "shows_personal_data",
            Self::NoPrivateChannel => "no_private_channel",
        }
    }

    /// Returns the fault and its remedy, for the writer of the reply. The subject is the quoted text.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::Confirms => {
                "confirms that the author is a customer or patient; say only what holds for everybody, such as \
                 \u{201c}we take this seriously\u{201d}"
            }
            Self::AsksInPublic => "asks for identifiers in public; ask for them in a private message",
            Self::ShowsPersonalData => "shows personal data in public; remove it",
            Self::NoPrivateChannel => {
                "offers no private channel; add one, such as \u{201c}please send us a DM\u{201d}"
            }
        }
    }
}

/// A fault of a reply and its position. A missing channel is reported at the end of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplyFault {
    /// The broken rule.
    pub kind: ReplyFaultKind,
    /// Start in the text, in bytes.
    pub start: usize,
    /// End in the text, in bytes, exclusive.
    pub end: usize,
}

/// Compiled patterns for replies.
pub struct ReplyChecker {
    channels: Channels,
    accepts_hand_off: Pattern,
    requests: Requests,
    confirmations: Confirmations,
    exposure: Exposure,
}

/// The patterns of channels and hand-offs.
const PATTERNS: PatternFile = PatternFile(include_str!("replies.txt"));

impl ReplyChecker {
    /// Returns the checker of this build. It is compiled once, on first use.
    ///
    /// # Errors
    /// If a pattern is not a valid regular expression, which is a bug.
    pub fn shipped() -> Result<&'static Self, ModelError> {
        static SHIPPED: LazyLock<Result<ReplyChecker, ModelError>> = LazyLock::new(ReplyChecker::new);
        SHIPPED.as_ref().map_err(Clone::clone)
    }

    fn new() -> Result<Self, ModelError> {
        Ok(Self {
            channels: Channels::new(PATTERNS),
            accepts_hand_off: PATTERNS.joined("taken_up"),
            requests: Requests::new(),
            confirmations: Confirmations::new(),
            exposure: Exposure::new()?,
        })
    }

    /// Returns the private channels that a reply offers.
    #[must_use]
    pub fn channels(&self, text: &str) -> Vec<Channel> {
        self.channels.named(text)
    }

    /// Returns whether an author's reply says that the conversation continues in private.
    #[must_use]
    pub fn accepts_hand_off(&self, text: &str) -> bool {
        self.accepts_hand_off.is_match(text)
    }

    /// Returns the faults of a public reply, in order of position; empty if none was found. Personal data is
    /// searched in the first [`MAX_SCANNED_BYTES`](super::MAX_SCANNED_BYTES) bytes.
    #[must_use]
    pub fn faults(&self, text: &str) -> Vec<ReplyFault> {
        let folded = FoldedText::with_terms(text, self.exposure.personal);
        let parts = sentences(&folded.text);
        let fault = |kind, range: Range<usize>| ReplyFault { kind, start: range.start, end: range.end };
        let requests = self.requests.find(&folded.text, &parts, &self.channels);
        let mut faults: Vec<ReplyFault> = requests
            .iter()
            .map(|it| fault(ReplyFaultKind::AsksInPublic, folded.origin(&it.object)))
            .collect();
        // A request confirms nothing by what it asks for.
        let requested = requests.iter().map(|it| it.clause.clone());
        let statements = blank_out_ranges(&folded.text, requested);
        let mut asserted = String::with_capacity(statements.len());
        for part in &parts {
            asserted.push_str(&" ".repeat(part.start - asserted.len()));
            let sentence = self.confirmations.asserted(&statements[part.clone()]);
            let marked = mark_terms(&sentence, part.start, &folded.terms);
            if let Some(found) = self.confirmations.find(&statements[part.clone()], &sentence, &marked) {
                let range = folded.origin(&(part.start + found.start..part.start + found.end));
                faults.push(fault(ReplyFaultKind::Confirms, range));
            }
            asserted.push_str(&sentence);
        }
        for exposed in self.exposure.find(text, &folded, &asserted) {
            let overlaps = |f: &ReplyFault| f.start < exposed.range.end && exposed.range.start < f.end;
            if !(exposed.general && faults.iter().any(overlaps)) {
                faults.push(fault(ReplyFaultKind::ShowsPersonalData, exposed.range));
            }
        }
        if !self.channels.is_private(&self.channels.without_denied(&folded.text))
            && !self.exposure.gives_contact(text)
        {
            faults.push(fault(ReplyFaultKind::NoPrivateChannel, text.len()..text.len()));
        }
        faults.sort_by_key(|f| (f.start, f.end));
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::ReplyFaultKind::{AsksInPublic, Confirms, NoPrivateChannel, ShowsPersonalData};
    use super::*;

    #[test]
    fn authors_report_that_they_have_gone_on_in_private() {
        let checker = ReplyChecker::shipped().unwrap();
        for text in [
            "DM sent",
            "Just DM'd you",
            "I've already sent you a DM",
            "ok, sent an email",
            "I emailed you twice",
            "Check your inbox",
        ] {
            assert!(checker.accepts_hand_off(text), "{text}");
        }
        for text in
            ["Why should I send a DM?", "I will not email you", "No, answer here", "You never sent it"]
        {
            assert!(!checker.accepts_hand_off(text), "{text}");
        }
    }

    fn faults(text: &str) -> Vec<ReplyFaultKind> {
        ReplyChecker::shipped().unwrap().faults(text).into_iter().map(|f| f.kind).collect()
    }

    #[test]
    fn a_reply_that_reveals_nothing_and_offers_a_private_channel_may_be_sent() {
        for text in [
            "We're sorry to hear this and want to help. Please send us a DM with your member ID and date of birth.",
            "@jo That's not the experience we want for anyone. Please DM us so we can look into it.",
            "We take this seriously. Please email us at care@aldermere.example so that our team can help.",
            "I'm so sorry for the wait. Could you call us on 1-800-555-0132? We're here until 8pm.",
            "Thank you for letting us know. Please DM us. Include your policy number so we can find out more.",
            "We hear you, and long waits are not okay. Use our secure form to tell us more: https://a.example/x",
            "Can you provide us with the booking reference? Please send this via DM.",
            "We've replied to your DM, talk to you there!",
            "We know what diabetes asks of people, and we cover insulin. Please DM us.",
            "Sorry about the frustration! Shoot us a DM and we'll look into your claim.",
            "If you have a claim in process, you can follow it in the portal. Or DM us.",
            "When a claim is denied, the letter explains why. DM us if a letter is unclear.",
            "We'd never ask for your SSN in a public reply. That account isn't us. DM us.",
            "Please don't post your member ID here. Send it to us in a DM instead.",
            "To check on a claim, email care@aldermere.example with your claim number.",
            "Lamentamos la espera. Env\u{ed}anos tu n\u{fa}mero de miembro por mensaje directo.",
        ] {
            assert_eq!(faults(text), [], "{text}");
        }
    }

    #[test]
    fn what_must_not_be_written_is_reported_with_its_place() {
        for (text, expected) in [
            ("We're sorry your surgery was denied. Please DM us.", vec![Confirms]),
            ("As a valued member you deserve better, please DM us!", vec![Confirms]),
            ("We see that you called us on Monday. Please DM us.", vec![Confirms]),
            ("Your claim was processed yesterday. DM us if you need more.", vec![Confirms]),
            (
                "We have reviewed your account and sent a DM with the details, please DM us back",
                vec![Confirms],
            ),
            ("Your therapist left our network, please send us a private message.", vec![Confirms]),
            ("We hope your chemo goes well, DM us any time", vec![Confirms, ShowsPersonalData]),
            ("What is your member ID?", vec![AsksInPublic, NoPrivateChannel]),
            ("Please reply with your policy number, or DM us.", vec![AsksInPublic]),
            ("Can you confirm your date of birth and zip code? Then please DM us.", vec![AsksInPublic]),
            ("DM us if you like. What's your account number?", vec![AsksInPublic]),
            ("We'll call you at 415-555-0132 today. Please DM us if that's wrong.", vec![ShowsPersonalData]),
            ("We're sorry to hear of your mom's stroke, please DM us", vec![ShowsPersonalData]),
            ("Policy 8834521907 is being looked at, please DM us", vec![ShowsPersonalData]),
            ("Pls DM us. Also what are the last 4 of your social?", vec![AsksInPublic]),
            ("Comment with the name on the card and we'll send you a DM.", vec![AsksInPublic]),
            ("Is it about your surgery? Answer here, or DM us.", vec![ShowsPersonalData, AsksInPublic]),
            ("Glad the refill is on its way! Please DM us.", vec![Confirms]),
            ("It's been approved. Please DM us.", vec![Confirms]),
            ("You're all set. Please DM us.", vec![Confirms]),
            ("Ihr Antrag wurde genehmigt. Gern per Direktnachricht.", vec![Confirms]),
            ("\u{bf}Cu\u{e1}l es tu n\u{fa}mero de miembro? Tambi\u{e9}n por DM.", vec![AsksInPublic]),
            ("Please don't DM us.", vec![NoPrivateChannel]),
            ("Our DMs are closed.", vec![NoPrivateChannel]),
            ("Sorry to hear that!", vec![NoPrivateChannel]),
            ("", vec![NoPrivateChannel]),
        ] {
            assert_eq!(faults(text), expected, "{text}");
        }
        let text = "Sorry. What is your member ID? DM us.";
        let fault = ReplyChecker::shipped().unwrap().faults(text)[0];
        assert_eq!(&text[fault.start..fault.end], "member ID");
    }

    #[test]
    fn channels_are_read_as_agents_write_them() {
        let channels = |text: &str| ReplyChecker::shipped().unwrap().channels(text);
        for text in [
            "@1 please follow and DM your details",
            "shoot us a DM",
            "let's meet in DM",
            "Send us a Direct Message",
            "can you DM me?",
        ] {
            assert_eq!(channels(text), [Channel::Dm], "{text}");
        }
        assert_eq!(
            channels("Email us at a@b.example or call our team on 555"),
            [Channel::Email, Channel::Phone]
        );
        assert_eq!(channels("You can give us a call"), [Channel::Phone]);
        for text in [
            "We emailed you",
            "I've got your DM, thanks",
            "Which phone is it?",
            "Please don't DM us",
            "Our DMs are closed",
        ] {
            assert_eq!(channels(text), [], "{text}");
        }
    }
}
