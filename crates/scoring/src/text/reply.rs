//! Checks a brand's public reply: which private channels it offers, and what it must not do in public.
//!
//! In health care a reply must not even confirm that the author is a customer, because being a patient is
//! itself protected information (HIPAA, 45 CFR 164.502). A draft is rejected if it confirms this, asks for
//! identifiers in public, shows personal data, or offers no private channel.

use std::sync::LazyLock;

use firewatch_domain::Channel;
use regex::Regex;

use super::patterns::PatternFile;
use super::{PersonalDataDetector, PersonalKind, PersonalSpan};
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
    channels: Vec<(Channel, Regex)>,
    accepts_hand_off: Regex,
    /// A private place without a named channel, such as a secure form.
    private: Regex,
    public: Regex,
    identifier_request: Regex,
    /// A request that refers to the channel named in an earlier sentence.
    follow_up_request: Regex,
    /// A reference to identifiers requested in the sentence before, in a sentence that names a channel.
    redirects_to_private: Regex,
    /// Text before an e-mail address or phone number that belongs to the brand.
    brand_contact: Regex,
    /// Text before a condition that belongs to the author or to somebody close.
    about_author: Regex,
    confirms_customer: Regex,
    personal: &'static PersonalDataDetector,
}

/// The patterns by meaning.
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
            channels: vec![
                (Channel::Dm, PATTERNS.compile_joined("dm")?),
                (Channel::Email, PATTERNS.compile_joined("email")?),
                (Channel::Phone, PATTERNS.compile_joined("phone")?),
            ],
            accepts_hand_off: PATTERNS.compile_joined("taken_up")?,
            private: PATTERNS.compile_joined("private")?,
            public: PATTERNS.compile_joined("public")?,
            identifier_request: PATTERNS.compile_joined("asks")?,
            follow_up_request: PATTERNS.compile_joined("goes_on")?,
            redirects_to_private: PATTERNS.compile_joined("sent_so")?,
            brand_contact: PATTERNS.compile_joined("own")?,
            about_author: PATTERNS.compile_joined("authors")?,
            confirms_customer: PATTERNS.compile_joined("confirms")?,
            personal: PersonalDataDetector::shipped()?,
        })
    }

    /// Returns the private channels that a reply offers.
    #[must_use]
    pub fn channels(&self, text: &str) -> Vec<Channel> {
        self.channels.iter().filter(|(_, form)| form.is_match(text)).map(|(channel, _)| *channel).collect()
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
        let mut faults: Vec<ReplyFault> = Vec::new();
        let mut offered = false;
        for (start, sentence) in sentences(text) {
            let private = self.is_private(sentence);
            if private && self.redirects_to_private.is_match(sentence) {
                faults.pop_if(|last| last.kind == ReplyFaultKind::AsksInPublic);
            }
            let may_ask = private || (offered && self.follow_up_request.is_match(sentence));
            let request = self.identifier_request.captures(sentence).and_then(|groups| groups.name("it"));
            if let Some(it) = request.filter(|_| !may_ask || self.public.is_match(sentence)) {
                let kind = ReplyFaultKind::AsksInPublic;
                faults.push(ReplyFault { kind, start: start + it.start(), end: start + it.end() });
            }
            // Asking for an identifier in private confirms nothing.
            let confirmed = self
                .confirms_customer
                .find(sentence)
                .filter(|it| request.is_none_or(|a| a.start() > it.end()));
            faults.extend(confirmed.map(|it| ReplyFault {
                kind: ReplyFaultKind::Confirms,
                start: start + it.start(),
                end: start + it.end(),
            }));
            offered |= private;
        }
        for span in self.personal.find(text) {
            let reported = faults.iter().any(|f| f.start < span.end && span.start < f.end);
            if !reported && self.shows_author_data(text, span) {
                let kind = ReplyFaultKind::ShowsPersonalData;
                faults.push(ReplyFault { kind, start: span.start, end: span.end });
            }
        }
        if !self.is_private(text) {
            let end = text.len();
            faults.push(ReplyFault { kind: ReplyFaultKind::NoPrivateChannel, start: end, end });
        }
        faults.sort_by_key(|f| (f.start, f.end));
        faults
    }

    /// Returns whether personal data in a reply is the author's. A brand may give its own address and may
    /// write about illness in general.
    fn shows_author_data(&self, text: &str, span: PersonalSpan) -> bool {
        let before = text.get(..span.start).unwrap_or_default();
        match span.kind {
            PersonalKind::Email | PersonalKind::Phone => !self.brand_contact.is_match(before),
            PersonalKind::Health => self.about_author.is_match(before),
            _ => true,
        }
    }

    fn is_private(&self, text: &str) -> bool {
        self.private.is_match(text) || self.channels.iter().any(|(_, form)| form.is_match(text))
    }
}

/// Returns the sentences of a text, each with its start in bytes.
fn sentences(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    text.split_inclusive(['.', '!', '?', '\n']).map(move |sentence| {
        let start = at;
        at += sentence.len();
        (start, sentence)
    })
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
            ("We hope your chemo goes well, DM us any time", vec![Confirms]),
            ("What is your member ID?", vec![AsksInPublic, NoPrivateChannel]),
            ("Please reply with your policy number, or DM us.", vec![AsksInPublic]),
            ("Can you confirm your date of birth and zip code? Then please DM us.", vec![AsksInPublic]),
            ("DM us if you like. What's your account number?", vec![AsksInPublic]),
            ("We'll call you at 415-555-0132 today. Please DM us if that's wrong.", vec![ShowsPersonalData]),
            ("We're sorry to hear of your mom's stroke, please DM us", vec![ShowsPersonalData]),
            ("Policy 8834521907 is being looked at, please DM us", vec![ShowsPersonalData]),
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
        for text in
            ["We emailed you", "I've got your DM, thanks", "Which phone is it?", "We replied to your DM"]
        {
            assert_eq!(channels(text), [], "{text}");
        }
    }
}
