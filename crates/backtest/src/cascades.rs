//! Reads real reshare cascades (times and follower counts) and posts of known authors from CSV files.

use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::path::Path;

use firewatch_domain::{Engagement, EngagementKind, EventTime};
use firewatch_scoring::virality::{Forecast, Opening};
use firewatch_scoring::{Cascade, TYPICAL_FOLLOWERS, ViralityModel};

use firewatch_report::{AnalysisError, files::read};

/// A cascade: its root and its reshares in the order of time.
#[derive(Debug, Clone, Default)]
pub struct ReshareHistory {
    /// Name of the cascade in its file.
    pub name: String,
    /// Followers of the root's author, if known.
    pub followers: Option<u64>,
    /// Author of the root, if known.
    pub author: Option<String>,
    /// The reshares.
    pub reshares: Vec<Reshare>,
}

/// A reshare in a cascade.
#[derive(Debug, Clone)]
pub struct Reshare {
    /// Seconds after the root.
    pub secs: f64,
    /// Followers of the resharer, if known.
    pub followers: Option<u64>,
    /// Name of the resharer, if known.
    pub user: Option<String>,
}

impl ReshareHistory {
    /// Returns the total number of reshares.
    #[must_use]
    pub fn size(&self) -> usize {
        self.reshares.len()
    }

    /// Returns the number of reshares up to an age in seconds.
    #[must_use]
    pub fn count_until(&self, secs: f64) -> usize {
        self.reshares.partition_point(|r| r.secs <= secs)
    }

    /// Summarises the cascade at an age in seconds, with the production code.
    #[must_use]
    pub fn cascade_at(&self, age_secs: f64) -> Cascade {
        let at = |secs: f64| EventTime::from_millis((secs * 1000.0) as i64);
        let mut cascade = Cascade::default();
        cascade.observe_time(at(0.0));
        cascade.observe_author(self.author.as_deref().unwrap_or_default(), self.followers, at(0.0));
        for r in self.reshares.iter().take_while(|r| r.secs <= age_secs) {
            let (kind, actor) = (EngagementKind::Reshare, r.user.clone());
            let engagement = Engagement::new(kind, actor, r.followers);
            cascade.observe_engagement(&engagement, at(r.secs));
        }
        cascade.observe_time(at(age_secs));
        cascade
    }
}

/// A row that is not valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRow {
    /// Number of its line; the header is line 1.
    pub line: u64,
    /// The problem and its remedy.
    pub problem: String,
}

/// Reads a file of cascades and refuses bad rows; see [`read_cascades`] for the format.
///
/// # Errors
/// When the file cannot be read or has a bad row; names the file and the line.
pub fn cascades(path: &Path) -> Result<Vec<ReshareHistory>, AnalysisError> {
    let text = read(path)?;
    let mut bad = None;
    let all = read_cascades(text.as_bytes(), &mut |row| {
        bad.get_or_insert(row);
    });
    match (all, bad) {
        (Ok(all), None) => Ok(all),
        (Err(bad), _) | (_, Some(bad)) => {
            Err(AnalysisError::Line(path.into(), bad.line as usize, bad.problem))
        }
    }
}

/// Reads cascades from CSV with the columns `cascade` and `t_s` (seconds since the root), and optionally
/// `followers` and `user`. The first row at 0 seconds is the root. Rows may come in any order; duplicates
/// with the same user and time count once. Bad rows are left out and passed to `on_bad_row`.
///
/// # Errors
/// When the header lacks a column, or the input cannot be read.
pub fn read_cascades(
    input: impl Read,
    on_bad_row: &mut dyn FnMut(BadRow),
) -> Result<Vec<ReshareHistory>, BadRow> {
    let mut rows = csv::ReaderBuilder::new().flexible(true).from_reader(input);
    let columns =
        Columns::from_header(rows.headers().map_err(|e| BadRow { line: 1, problem: e.to_string() })?)?;
    let (mut all, mut by_name): (Vec<HistoryBuilder>, HashMap<String, usize>) = (Vec::new(), HashMap::new());
    for row in rows.records() {
        let row = match row {
            Ok(row) => row,
            Err(e) if e.is_io_error() => return Err(BadRow { line: 0, problem: e.to_string() }),
            Err(e) => {
                let line = e.position().map_or(0, csv::Position::line);
                on_bad_row(BadRow { line, problem: format!("{e}; give UTF-8") });
                continue;
            }
        };
        match columns.read(&row) {
            Ok((name, reshare)) => {
                let at = *by_name.entry(name.into()).or_insert_with(|| {
                    all.push(HistoryBuilder::new(name));
                    all.len() - 1
                });
                all[at].add(reshare);
            }
            Err(problem) => {
                on_bad_row(BadRow { line: row.position().map_or(0, csv::Position::line), problem });
            }
        }
    }
    Ok(all.into_iter().map(HistoryBuilder::done).collect())
}

/// The indices of the columns.
struct Columns {
    cascade: usize,
    secs: usize,
    followers: Option<usize>,
    user: Option<usize>,
}

impl Columns {
    fn from_header(header: &csv::StringRecord) -> Result<Self, BadRow> {
        let find = |name: &str| header.iter().position(|h| h.trim() == name);
        let (Some(cascade), Some(secs)) = (find("cascade"), find("t_s")) else {
            let is: Vec<&str> = header.iter().take(6).collect();
            let problem = format!("the header is `{}`; give `cascade,t_s,followers,user`", is.join(","));
            return Err(BadRow { line: 1, problem });
        };
        Ok(Self { cascade, secs, followers: find("followers"), user: find("user") })
    }

    fn read<'a>(&self, row: &'a csv::StringRecord) -> Result<(&'a str, Reshare), String> {
        let field = |i: usize| row.get(i).unwrap_or_default().trim();
        let name = Some(field(self.cascade)).filter(|n| !n.is_empty());
        let name = name.ok_or("`cascade` is empty; give the cascade's name")?;
        let number = |text: &str| text.parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.0);
        let secs = number(field(self.secs))
            .ok_or_else(|| format!("`t_s` is `{}`; give seconds from 0", field(self.secs)))?;
        let followers = match self.followers.map(field).filter(|f| !f.is_empty()) {
            None => None,
            Some(text) => Some(
                number(text).ok_or_else(|| format!("`followers` is `{text}`; give a count, or nothing"))?
                    as u64,
            ),
        };
        let user = self.user.map(field).filter(|u| !u.is_empty()).map(String::from);
        Ok((name, Reshare { secs, followers, user }))
    }
}

/// A cascade whose rows are still being read.
struct HistoryBuilder {
    cascade: ReshareHistory,
    has_root: bool,
    rows: HashSet<(String, u64)>,
}

impl HistoryBuilder {
    fn new(name: &str) -> Self {
        let cascade = ReshareHistory { name: name.into(), ..ReshareHistory::default() };
        Self { cascade, has_root: false, rows: HashSet::new() }
    }

    fn add(&mut self, row: Reshare) {
        let new = row.user.as_ref().is_none_or(|u| self.rows.insert((u.clone(), row.secs.to_bits())));
        if new && row.secs == 0.0 && !self.has_root {
            self.has_root = true;
            self.cascade.followers = row.followers;
            self.cascade.author = row.user;
        } else if new {
            self.cascade.reshares.push(row);
        }
    }

    fn done(mut self) -> ReshareHistory {
        self.cascade.reshares.sort_by(|a, b| a.secs.total_cmp(&b.secs));
        self.cascade
    }
}

/// Forecasts a cascade without its text at an age in seconds. `share` is the share of cascades in its
/// collection that take off.
#[must_use]
pub fn forecast(model: &ViralityModel, cascade: &ReshareHistory, age: f64, share: f64) -> Forecast {
    let followers = cascade.followers.unwrap_or(TYPICAL_FOLLOWERS) as f64;
    model.forecast_collected(
        &cascade.cascade_at(age),
        &Opening { followers, arousal: 0.0, complaint: 0.0 },
        share,
    )
}

/// A post of a known author with its retweets.
#[derive(Debug, Clone)]
pub struct AuthorPost {
    /// Text of the post.
    pub text: String,
    /// Language according to the platform.
    pub lang: String,
    /// Followers of the author.
    pub followers: u64,
    /// Retweets when the post was last observed.
    pub retweets: u64,
}

/// Reads the posts of known authors from CSV, without replies.
///
/// # Errors
/// When the file cannot be read or lacks a column; names the file and the line.
pub fn author_posts(path: &Path) -> Result<Vec<AuthorPost>, AnalysisError> {
    let text = read(path)?;
    let mut rows = csv::Reader::from_reader(text.as_bytes());
    let place = |e: csv::Error| {
        let line = e.position().map_or(0, csv::Position::line) as usize;
        AnalysisError::Line(path.into(), line, e.to_string())
    };
    let header = rows.headers().map_err(place)?.clone();
    let column = |name: &str| {
        header
            .iter()
            .position(|h| h == name)
            .ok_or_else(|| AnalysisError::Line(path.into(), 1, format!("no column `{name}`")))
    };
    let (followers, retweets, is_reply) = (column("followers")?, column("retweets")?, column("is_reply")?);
    let (text, lang) = (column("text")?, column("lang")?);
    let mut all = Vec::new();
    for row in rows.records() {
        let row = row.map_err(place)?;
        let number = |i: usize| row.get(i).and_then(|v| v.parse::<u64>().ok());
        if let (Some(followers), Some(retweets), Some(0)) =
            (number(followers), number(retweets), number(is_reply))
        {
            let word = |i: usize| row.get(i).unwrap_or_default().to_owned();
            all.push(AuthorPost { text: word(text), lang: word(lang), followers, retweets });
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(csv: &str) -> (Vec<ReshareHistory>, Vec<BadRow>) {
        let mut bad = Vec::new();
        let all = read_cascades(csv.as_bytes(), &mut |row| bad.push(row)).unwrap();
        (all, bad)
    }

    #[test]
    fn rows_in_any_order_and_twice_are_one_cascade() {
        let (all, bad) = read_all(
            "cascade,t_s,followers,user\na,0,5,r\nb,0,,\na,60,7,y\na,30.5,,x\na,60,7,y\nb,1,,\nb,1,,\n",
        );
        assert_eq!(bad, []);
        assert_eq!((all[0].name.as_str(), all[0].followers, all[0].size()), ("a", Some(5), 2));
        assert_eq!((all[0].count_until(31.0), all[0].reshares[1].followers), (1, Some(7)));
        assert_eq!(all[1].size(), 2, "without users duplicates cannot be detected");
    }

    #[test]
    fn bad_rows_are_reported_with_line_value_and_remedy_and_the_rest_is_read() {
        let (all, bad) = read_all("cascade,t_s,followers,user\na,0,,\na,soon,,\n,5,,\na,9,-1,\na,10,,z\n");
        assert_eq!(all[0].size(), 1);
        let reported: Vec<(u64, &str)> = bad.iter().map(|b| (b.line, b.problem.as_str())).collect();
        assert_eq!(reported[0], (3, "`t_s` is `soon`; give seconds from 0"));
        assert_eq!((reported[1].0, reported[2]), (4, (5, "`followers` is `-1`; give a count, or nothing")));
        assert!(read_cascades("id,time\n".as_bytes(), &mut |_| ()).is_err());
    }
}
