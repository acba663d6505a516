//! `crates/collect` against servers that speak the protocols and misbehave: a cursor loses nothing that the
//! server still has, and the time span of what is lost is reported.

mod command;
mod hooks;
mod jetstream;
mod mastodon;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use firewatch_collect::{CollectorContext, Notice, PutError, PutFuture, RawPayload};
use firewatch_domain::EventTime;
use tokio::net::TcpListener;

const WAIT_DEADLINE: Duration = Duration::from_secs(60);

/// A topic in memory, and every message that was reported.
#[derive(Clone, Default)]
pub struct Topic {
    pub raw: Arc<Mutex<Vec<RawPayload>>>,
    pub notices: Arc<Mutex<Vec<Notice>>>,
    /// Number of the next records that it refuses.
    pub refuse: Arc<Mutex<usize>>,
    /// How long it takes to accept a record; next to nothing if zero.
    pub accept_time: Duration,
}

impl Topic {
    pub fn port(&self) -> CollectorContext {
        let (raw, notices, refuse) = (self.raw.clone(), self.notices.clone(), self.refuse.clone());
        let accept_time = self.accept_time.max(Duration::from_micros(200));
        let put = move |one: RawPayload| -> PutFuture {
            let (raw, refuse) = (raw.clone(), refuse.clone());
            Box::pin(async move {
                tokio::time::sleep(accept_time).await;
                let mut left = refuse.lock().unwrap();
                if *left > 0 {
                    *left -= 1;
                    return Err(PutError::new("no broker"));
                }
                raw.lock().unwrap().push(one);
                Ok(())
            })
        };
        let notify = move |_: &str, notice: &Notice| notices.lock().unwrap().push(notice.clone());
        CollectorContext {
            put: Arc::new(put),
            clock: || EventTime::from_millis(1_780_200_000_000),
            notify: Arc::new(notify),
        }
    }

    pub fn texts(&self) -> Vec<String> {
        let raw = self.raw.lock().unwrap();
        raw.iter().map(|one| String::from_utf8_lossy(&one.payload).into_owned()).collect()
    }

    pub fn notices(&self) -> Vec<Notice> {
        self.notices.lock().unwrap().clone()
    }

    pub fn gaps(&self) -> Vec<String> {
        self.notices()
            .iter()
            .filter_map(|n| if let Notice::Gap(gap) = n { Some(gap.to_string()) } else { None })
            .collect()
    }

    pub async fn wait_for(&self, wanted: impl Fn(&Self) -> bool) {
        let wait = async {
            while !wanted(self) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let waited = tokio::time::timeout(WAIT_DEADLINE, wait).await;
        let notices = self.notices().into_iter().filter(|n| *n != Notice::Accepted).collect::<Vec<_>>();
        assert!(waited.is_ok(), "{} came; {notices:#?}", self.raw.lock().unwrap().len());
    }
}

async fn listening(routes: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, routes).await });
    at
}
