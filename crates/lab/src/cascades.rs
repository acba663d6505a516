//! Real reshare cascades: times and follower counts.

use std::path::Path;

use firewatch_domain::{Engagement, EngagementKind, EventTime};
use firewatch_scoring::Cascade;

use crate::{LabError, read};

/// One cascade: its root and its reshares in order of time.
#[derive(Debug, Clone, Default)]
pub struct Recorded {
    /// The cascade's name in its file.
    pub name: String,
    /// The root's followers, when told.
    pub followers: Option<u64>,
    /// The reshares.
    pub reshares: Vec<Reshare>,
}

/// One reshare.
#[derive(Debug, Clone, Copy)]
pub struct Reshare {
    /// Seconds after the root.
    pub secs: f64,
    /// The resharer's followers, when told.
    pub followers: Option<u64>,
}

impl Recorded {
    /// The summary at an age, made by the very code that production runs.
    #[must_use]
    pub fn at(&self, age_secs: f64) -> Cascade {
        let at = |secs: f64| EventTime::from_millis((secs * 1000.0) as i64);
        let mut cascade = Cascade::default();
        cascade.begin(at(0.0));
        cascade.author("root", self.followers);
        for r in self.reshares.iter().take_while(|r| r.secs <= age_secs) {
            let engagement =
                Engagement { kind: EngagementKind::Reshare, actor: None, followers: r.followers };
            cascade.engage(&engagement, at(r.secs));
        }
        cascade.begin(at(age_secs));
        cascade
    }
}

/// Reads a file of cascades: comma-separated `cascade,t_s,followers,...`, the root first at 0 s.
///
/// # Errors
/// Names the file and the line.
pub fn cascades(path: &Path) -> Result<Vec<Recorded>, LabError> {
    let mut all: Vec<Recorded> = Vec::new();
    for (i, line) in read(path)?.lines().enumerate().skip(1) {
        let mut fields = line.split(',');
        let name = fields.next().unwrap_or_default();
        let secs = fields.next().and_then(|s| s.parse::<f64>().ok()).filter(|s| *s >= 0.0);
        let secs =
            secs.ok_or_else(|| LabError::Line(path.into(), i + 1, "`t_s` is no number from 0".into()))?;
        let followers = fields.next().and_then(|s| s.parse::<u64>().ok());
        match all.last_mut().filter(|c| c.name == name) {
            Some(cascade) => cascade.reshares.push(Reshare { secs, followers }),
            None => all.push(Recorded { name: name.into(), followers, reshares: Vec::new() }),
        }
    }
    for cascade in &mut all {
        cascade.reshares.sort_by(|a, b| a.secs.total_cmp(&b.secs));
    }
    Ok(all)
}

/// What became of one post: its author's followers and its retweets.
#[derive(Debug, Clone, Copy)]
pub struct Author {
    /// Followers of the author.
    pub followers: u64,
    /// Retweets when the post was last seen.
    pub retweets: u64,
}

/// Reads the posts of known authors: quoted CSV whose columns `followers` and `retweets` are used; replies are left out.
///
/// # Errors
/// Names the file and the line.
pub fn authors(path: &Path) -> Result<Vec<Author>, LabError> {
    let text = read(path)?;
    let mut rows = csv::Reader::from_reader(text.as_bytes());
    let place = |e: csv::Error| {
        let line = e.position().map_or(0, csv::Position::line) as usize;
        LabError::Line(path.into(), line, e.to_string())
    };
    let header = rows.headers().map_err(place)?.clone();
    let column = |name: &str| {
        header
            .iter()
            .position(|h| h == name)
            .ok_or_else(|| LabError::Line(path.into(), 1, format!("no column `{name}`")))
    };
    let (followers, retweets, is_reply) = (column("followers")?, column("retweets")?, column("is_reply")?);
    let mut all = Vec::new();
    for row in rows.records() {
        let row = row.map_err(place)?;
        let number = |i: usize| row.get(i).and_then(|v| v.parse::<u64>().ok());
        if let (Some(followers), Some(retweets), Some(0)) =
            (number(followers), number(retweets), number(is_reply))
        {
            all.push(Author { followers, retweets });
        }
    }
    Ok(all)
}
