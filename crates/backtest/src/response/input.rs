//! Reads requests from a stream of events, or from a published data set of conversations between customers
//! and agents.

use std::collections::HashMap;
use std::path::Path;

use firewatch_domain::{Body, Duration, Event, EventTime, Post};
use firewatch_engine::{Record, Ruleset};
use firewatch_scoring::Scratch;
use firewatch_scoring::text::ReplyChecker;
use serde::Deserialize;

use super::survival::Wait;
use super::{Request, Requests};
use crate::recordings::open;
use firewatch_report::{AnalysisError, Zone};

/// Minimum complaint probability of a post to count as a request.
const MIN_COMPLAINT: f32 = 0.5;
/// Maximum number of faults listed.
const MAX_REPORTED_FAULTS: usize = 5;
/// Shortest wait in minutes; shorter ones are raised to it, so that their logarithm is finite.
const MIN_WAIT_MINUTES: f64 = 1.0 / 60.0;

/// The format of an input file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputFormat {
    /// Events as JSON lines.
    Events,
    /// One JSON array of conversations, each with a `dialogHeader` and a `dialogContent`.
    Conversations,
}

impl InputFormat {
    /// Detects the format of a file by its first character that is not a space.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn detect(path: &Path) -> Result<Self, AnalysisError> {
        use std::io::Read;
        let mut begin = [0; 64];
        let failed = |e| AnalysisError::File(path.into(), e);
        let n = std::fs::File::open(path).and_then(|mut file| file.read(&mut begin)).map_err(failed)?;
        let first = begin.iter().take(n).find(|byte| !byte.is_ascii_whitespace());
        Ok(if first == Some(&b'[') { Self::Conversations } else { Self::Events })
    }
}

/// Reads requests in the order of time. `ruleset` provides the text model and the brands' accounts.
///
/// # Errors
/// When the file cannot be opened, or starts like a JSON array but is not a list of conversations.
pub fn read(path: &Path, ruleset: &Ruleset, zone: Zone) -> Result<Requests, AnalysisError> {
    let replies = ReplyChecker::shipped().map_err(|e| AnalysisError::Step(e.to_string()))?;
    let reader = RequestReader { ruleset, replies, scratch: Scratch::default() };
    let mut requests = match InputFormat::detect(path)? {
        InputFormat::Events => reader.events(path)?,
        InputFormat::Conversations => reader.conversations(path)?,
    };
    requests.input = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    requests.all.iter_mut().for_each(|request| request.wall_time = zone.wall_time(request.at));
    requests.zone = zone;
    requests.all.sort_by_key(|request| request.at);
    Ok(requests)
}

/// A request whose replies are still being collected.
struct PendingRequest {
    request: Request,
    answered: Option<EventTime>,
    handed_off: Option<EventTime>,
}

impl PendingRequest {
    fn answer(&mut self, at: EventTime, asks_for_private: bool) {
        if at < self.request.at {
            return;
        }
        self.answered = Some(self.answered.map_or(at, |before| before.min(at)));
        if asks_for_private {
            self.handed_off = Some(self.handed_off.map_or(at, |before| before.min(at)));
        }
    }

    /// Returns the request with its waits, censored at `until` if there was no reply.
    fn into_request(self, until: EventTime) -> Request {
        let began = self.request.at;
        let wait = |at: Option<EventTime>| Wait {
            minutes: ((at.unwrap_or(until) - began).as_secs() / 60.0).max(MIN_WAIT_MINUTES),
            answered: at.is_some(),
        };
        Request { answer: wait(self.answered), hand_off: wait(self.handed_off), ..self.request }
    }
}

struct RequestReader<'a> {
    ruleset: &'a Ruleset,
    replies: &'static ReplyChecker,
    scratch: Scratch,
}

impl RequestReader<'_> {
    /// Returns a post as a request without replies; `None` if the text model cannot read it.
    fn request(&mut self, text: &str, lang: Option<&str>, at: EventTime) -> Option<Request> {
        let prediction = self.ruleset.sentiment.read(&mut self.scratch, text, lang).prediction.ok()?;
        let wait = Wait { minutes: 0.0, answered: false };
        Some(Request {
            brand: String::new(),
            platform: String::new(),
            at,
            wall_time: at,
            followers: None,
            complaint: prediction.complaint,
            arousal: prediction.arousal,
            answer: wait,
            hand_off: wait,
        })
    }

    fn asks_for_private(&self, text: &str) -> bool {
        !self.replies.channels(text).is_empty()
    }

    fn events(mut self, path: &Path) -> Result<Requests, AnalysisError> {
        let mut requests = Requests {
            description: "posts to a brand, at least 50% likely a complaint".into(),
            ..Requests::default()
        };
        let mut watched: HashMap<String, Option<PendingRequest>> = HashMap::new();
        let mut last = EventTime::EARLIEST;
        for chunk in &open(path, None)?.chunks {
            let chunk = match chunk {
                Ok(chunk) => chunk,
                Err(e) => {
                    requests.partial = Some(e.to_string());
                    break;
                }
            };
            for (place, record) in chunk.records_with_places() {
                match record {
                    Ok(Record::Event(event)) => {
                        last = last.max(event.at);
                        self.event(event, &mut watched, &mut requests);
                    }
                    Ok(_) => {}
                    Err(e) if requests.faults.len() < MAX_REPORTED_FAULTS => {
                        requests.faults.push(format!("{place}: {e}"));
                    }
                    Err(_) => {}
                }
            }
        }
        requests.all = watched.into_values().flatten().map(|watched| watched.into_request(last)).collect();
        Ok(requests)
    }

    fn event(
        &mut self,
        event: &Event,
        watched: &mut HashMap<String, Option<PendingRequest>>,
        to: &mut Requests,
    ) {
        let accounts = &self.ruleset.policy.accounts;
        let platform = event.platform.as_deref();
        let is_by_brand = |post: &Post| accounts.is_by_brand(platform, post);
        let answer = match &event.body {
            Body::BrandReply(reply) => Some(reply.text.as_str()),
            Body::Post(post) if post.in_reply_to.is_some() && is_by_brand(post) => Some(post.text.as_str()),
            _ => None,
        };
        if let Some(text) = answer {
            let asks = self.asks_for_private(text);
            if let Some(Some(watched)) = watched.get_mut(&event.conversation) {
                watched.answer(event.at, asks);
            }
            return;
        }
        let Body::Post(post) = &event.body else { return };
        let mentioned = || accounts.mentioned(platform, &post.text);
        let Some(brand) = event.brand.as_deref().or_else(mentioned) else { return };
        if post.in_reply_to.is_some() || is_by_brand(post) || watched.contains_key(&event.conversation) {
            return;
        }
        let brand = brand.to_owned();
        let request = self.request(&post.text, post.lang.as_deref(), event.at);
        to.unread += usize::from(request.is_none());
        let request = request.filter(|request| request.complaint >= MIN_COMPLAINT).map(|request| Request {
            brand,
            platform: platform.unwrap_or_default().to_owned(),
            followers: post.followers(),
            ..request
        });
        let new = request.map(|request| PendingRequest { request, answered: None, handed_off: None });
        watched.insert(event.conversation.clone(), new);
    }

    fn conversations(mut self, path: &Path) -> Result<Requests, AnalysisError> {
        let text = firewatch_report::files::read(path)?;
        let all: Vec<Conversation> = serde_json::from_str(&text)
            .map_err(|e| AnalysisError::Line(path.into(), e.line(), format!("column {}: {e}", e.column())))?;
        let mut requests = Requests {
            description: "first posts of customers, all of them answered; the data has no unanswered posts"
                .into(),
            ..Requests::default()
        };
        for (i, conversation) in all.iter().enumerate() {
            match self.conversation(conversation) {
                Ok(Some(request)) => requests.all.push(request),
                Ok(None) => requests.unread += 1,
                Err(e) if requests.faults.len() < MAX_REPORTED_FAULTS => {
                    requests.faults.push(format!("{}, conversation {}: {e}", path.display(), i + 1));
                }
                Err(_) => {}
            }
        }
        Ok(requests)
    }

    fn conversation(&mut self, conversation: &Conversation) -> Result<Option<Request>, String> {
        let time = |text: &str| EventTime::parse(text).map_err(|e| format!("datetime: {e}"));
        let turns = &conversation.turns;
        let Some(first) = turns.iter().find(|turn| turn.agent.is_none()) else {
            return Err("no turn of a customer".into());
        };
        let Some(request) = self.request(&first.message, None, time(&first.datetime)?) else {
            return Ok(None);
        };
        let brand = conversation.header.company.clone();
        let request = Request { brand, platform: "x".into(), ..request };
        let mut watched = PendingRequest { request, answered: None, handed_off: None };
        let mut last = watched.request.at;
        for turn in turns {
            let at = time(&turn.datetime)?;
            last = last.max(at);
            if turn.agent.is_some() {
                watched.answer(at, self.asks_for_private(&turn.message));
            }
        }
        if let Some(answer) = &conversation.answer {
            let at = answer.at().ok_or_else(|| format!("tweet_ID: {:?}: not a tweet id", answer.id))?;
            last = last.max(at);
            watched.answer(at, self.asks_for_private(&answer.text));
        }
        Ok(Some(watched.into_request(last)))
    }
}

#[derive(Deserialize)]
struct Conversation {
    #[serde(rename = "dialogHeader")]
    header: Header,
    #[serde(rename = "dialogContent")]
    turns: Vec<Turn>,
    /// The agent's reply that ends the conversation.
    #[serde(rename = "agentURL")]
    answer: Option<Answer>,
}

#[derive(Deserialize)]
struct Header {
    company: String,
}

#[derive(Deserialize)]
struct Turn {
    /// Account of the agent; `None` for a customer's turn.
    agent: Option<String>,
    datetime: String,
    message: String,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "tweet_ID")]
    id: String,
    #[serde(rename = "url_utterance")]
    text: String,
}

impl Answer {
    /// Returns the time encoded in an id of X: milliseconds since the platform's epoch, above the low 22
    /// bits.
    fn at(&self) -> Option<EventTime> {
        const EPOCH: i64 = 1_288_834_974_657;
        let id: i64 = self.id.parse().ok()?;
        Some(EventTime::from_millis(EPOCH + (id >> 22)))
            .filter(|at| *at > EventTime::EARLIEST + Duration::ZERO)
    }
}
