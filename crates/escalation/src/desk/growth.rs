//! What is told as one and grows: how many are in it, how many of them are near-copies, and how far that was told.

use firewatch_domain::{Duration, EventTime, News, SimHash};
use serde::{Deserialize, Serialize};

use super::case::Case;
use super::tell::{Of, Telling};

/// Texts whose copies are counted, at most.
const TEXTS: usize = 16;
/// Copies from which a text is said to be copied.
const COPIED: u64 = 3;
/// Share of the members from which copies are worth a word.
const WORTH_TELLING: f64 = 0.1;

/// How far something that grows has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Growth {
    pub members: u64,
    told: u64,
    told_at: EventTime,
    /// Texts of members, by the first that came, and how many there are of each.
    texts: Vec<(SimHash, u64)>,
}

impl Growth {
    /// With nothing in it.
    pub fn new(now: EventTime) -> Self {
        Self { members: 0, told: 0, told_at: now, texts: vec![] }
    }

    /// Takes a member in, whose text is known by this.
    pub fn take(&mut self, near: Option<SimHash>) {
        self.members += 1;
        let Some(near) = near else { return };
        if let Some((_, copies)) = self.texts.iter_mut().find(|(text, _)| text.is_near(near)) {
            *copies += 1;
            return;
        }
        if self.texts.len() == TEXTS {
            // The oldest that was not copied makes room; when all were, the new one is not counted.
            let Some(single) = self.texts.iter().position(|(_, copies)| *copies == 1) else { return };
            self.texts.remove(single);
        }
        self.texts.push((near, 1));
    }

    /// Whether a text is a near-copy of one that is copied in it.
    pub fn is_copied(&self, near: Option<SimHash>) -> bool {
        let copied = self.texts.iter().filter(|(_, copies)| *copies >= COPIED);
        near.is_some_and(|near| copied.into_iter().any(|(text, _)| text.is_near(near)))
    }

    /// How much of it is copies, in words, when that is worth a word.
    pub fn copies(&self) -> Option<String> {
        let most = self.texts.iter().map(|(_, copies)| *copies).max()?;
        let is_worth = most >= COPIED && most as f64 >= WORTH_TELLING * self.members as f64;
        is_worth.then(|| format!("{most} of {} are near-copies of one text", self.members))
    }

    /// Tells that a case has grown, when it is time for that and nobody has called it done.
    pub fn tell(&mut self, (id, case): (&str, &mut Case), interval: Duration, out: &mut Telling<'_>) {
        let Some(life) = case.lives.first_mut() else { return };
        let just_opened = life.step == 0 && life.told_at == out.now;
        if just_opened {
            (self.told, self.told_at) = (self.members, out.now);
        }
        let is_time = out.now - self.told_at >= interval;
        if just_opened || !is_time || self.members == self.told || life.state.is_final() {
            return;
        }
        life.told(out.now);
        let copies = self.copies().map_or_else(String::new, |copies| format!("; {copies}"));
        let reason = format!("grew from {} to {} posts{copies}", self.told, self.members);
        out.step(Of { id, case, life: &case.lives[0] }, News::Grew, reason);
        (self.told, self.told_at) = (self.members, out.now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALIKE: u64 = 0x00ff_00ff_00ff_00ff;

    fn with(texts: impl IntoIterator<Item = u64>) -> Growth {
        let mut growth = Growth::new(EventTime::EARLIEST);
        texts.into_iter().for_each(|text| growth.take(Some(SimHash(text))));
        growth
    }

    #[test]
    fn copies_are_counted_and_told_when_they_are_many() {
        let growth = with([0b1, 0b11, 0b111, u64::MAX]);
        assert_eq!(growth.copies().as_deref(), Some("3 of 4 are near-copies of one text"));
        assert!(growth.is_copied(Some(SimHash(0))) && !growth.is_copied(Some(SimHash(u64::MAX))));
        assert!(!growth.is_copied(None));
        assert_eq!(with([0, 1]).copies(), None, "two may be chance");
        let mut many = with([0, 1, 2]);
        (0..30).for_each(|_| many.take(None));
        assert_eq!(many.copies(), None, "3 of 33 say little");
    }

    #[test]
    fn a_text_that_is_copied_is_never_forgotten_for_one_that_is_not() {
        let single = (0..200).map(|i: u64| i.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut growth = with([ALIKE; 3].into_iter().chain(single));
        assert!(growth.texts.len() <= TEXTS);
        growth.take(Some(SimHash(ALIKE)));
        assert!(growth.is_copied(Some(SimHash(ALIKE))));
    }
}
