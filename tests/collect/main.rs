//! `crates/collect` against servers of ours that speak the protocols and misbehave: nothing is lost that a cursor can bring back, and
//! what cannot be brought back is told with its span.

mod command;
mod hooks;
mod jetstream;
mod mastodon;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use firewatch_collect::{Notice, Port, Putting, Raw};
use firewatch_domain::EventTime;
use tokio::net::TcpListener;

const PATIENCE: Duration = Duration::from_secs(60);

/// A topic in memory, and all that was told.
#[derive(Clone, Default)]
pub struct Topic {
    pub raw: Arc<Mutex<Vec<Raw>>>,
    pub told: Arc<Mutex<Vec<Notice>>>,
    /// How many of the next are refused.
    pub refuse: Arc<Mutex<usize>>,
}

impl Topic {
    pub fn port(&self) -> Port {
        let (raw, told, refuse) = (self.raw.clone(), self.told.clone(), self.refuse.clone());
        let put = move |one: Raw| -> Putting {
            let (raw, refuse) = (raw.clone(), refuse.clone());
            Box::pin(async move {
                tokio::time::sleep(Duration::from_micros(200)).await;
                let mut left = refuse.lock().unwrap();
                if *left > 0 {
                    *left -= 1;
                    return Err("no broker".into());
                }
                raw.lock().unwrap().push(one);
                Ok(())
            })
        };
        let tell = move |_: &str, notice: &Notice| told.lock().unwrap().push(notice.clone());
        Port { put: Arc::new(put), clock: || EventTime::from_millis(1_780_200_000_000), tell: Arc::new(tell) }
    }

    pub fn texts(&self) -> Vec<String> {
        let raw = self.raw.lock().unwrap();
        raw.iter().map(|one| String::from_utf8_lossy(&one.payload).into_owned()).collect()
    }

    pub fn told(&self) -> Vec<Notice> {
        self.told.lock().unwrap().clone()
    }

    pub fn gaps(&self) -> Vec<String> {
        self.told()
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
        let waited = tokio::time::timeout(PATIENCE, wait).await;
        let told = self.told().into_iter().filter(|n| *n != Notice::Taken).collect::<Vec<_>>();
        assert!(waited.is_ok(), "{} came; {told:#?}", self.raw.lock().unwrap().len());
    }
}

async fn listening(routes: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, routes).await });
    at
}
