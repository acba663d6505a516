//! The open connections of a listener, of which there are a bounded number.
//!
//! When there is no room for a new one, the oldest ends of those that nobody has vouched for. So people who open
//! many connections and say nothing on them push out each other, and not those who have a session or sign their
//! requests.

use std::collections::BTreeMap;
use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Extension;
use axum::middleware::AddExtension;
use axum_server::accept::Accept;
use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;
use tower_layer::Layer as _;

/// Maximum number of open connections of a listener. Each takes a file descriptor, of which a process has 1,024 by
/// default, and up to 64 KiB.
pub const MAX_CONNECTIONS: usize = 512;
/// Minimum time between two log lines about connections that were ended.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// The open connections of a listener.
#[derive(Clone)]
pub(crate) struct Connections(Arc<Mutex<Table>>);

struct Table {
    limit: usize,
    /// The number of the next connection, or of the next use of one.
    next: u64,
    /// Those that nobody has vouched for, the oldest first.
    strangers: BTreeMap<u64, Arc<Line>>,
    /// Those that somebody has vouched for, the one least recently vouched for first.
    trusted: BTreeMap<u64, Arc<Line>>,
    ended: u64,
    logged: Option<Instant>,
}

/// What the table and the stream of a connection share.
struct Line {
    /// The key in the table.
    key: Mutex<u64>,
    has_ended: AtomicBool,
    reader: AtomicWaker,
}

impl Connections {
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Mutex::new(Table {
            limit,
            next: 0,
            strangers: BTreeMap::new(),
            trusted: BTreeMap::new(),
            ended: 0,
            logged: None,
        })))
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a connection, and ends another one if there is no room.
    fn enter(&self) -> Trust {
        let mut table = self.table();
        if table.strangers.len() + table.trusted.len() >= table.limit {
            table.end_one();
        }
        let key = table.take_key();
        let line = Arc::new(Line {
            key: Mutex::new(key),
            has_ended: AtomicBool::new(false),
            reader: AtomicWaker::new(),
        });
        table.strangers.insert(key, line.clone());
        Trust { line, connections: self.clone() }
    }
}

impl Table {
    fn take_key(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn end_one(&mut self) {
        let oldest = self.strangers.pop_first().or_else(|| self.trusted.pop_first());
        let Some((_, line)) = oldest else { return };
        line.has_ended.store(true, Ordering::Release);
        line.reader.wake();
        self.ended += 1;
        let now = Instant::now();
        if self.logged.is_none_or(|logged| now.duration_since(logged) >= LOG_INTERVAL) {
            self.logged = Some(now);
            tracing::warn!(
                ended = self.ended,
                "{} connections are open; the oldest without a session or a signature ends for each new one",
                self.limit
            );
        }
    }

    fn remove(&mut self, key: u64) -> Option<Arc<Line>> {
        self.strangers.remove(&key).or_else(|| self.trusted.remove(&key))
    }
}

/// The connection of a request, as a request extension.
#[derive(Clone)]
pub struct Trust {
    line: Arc<Line>,
    connections: Connections,
}

impl Trust {
    /// Vouches for the connection: what it sent has a session or a right signature.
    pub fn vouch(&self) {
        let mut table = self.connections.table();
        let mut key = self.line.key.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = table.remove(*key) {
            *key = table.take_key();
            table.trusted.insert(*key, line);
        }
    }
}

/// The stream of a connection, which fails once the connection was ended.
pub(crate) struct BoundedStream<S> {
    stream: S,
    trust: Trust,
}

impl<S> BoundedStream<S> {
    fn check(&self) -> io::Result<()> {
        if self.trust.line.has_ended.load(Ordering::Acquire) {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }
}

impl<S> Drop for BoundedStream<S> {
    fn drop(&mut self) {
        let mut table = self.trust.connections.table();
        let key = *self.trust.line.key.lock().unwrap_or_else(PoisonError::into_inner);
        table.remove(key);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for BoundedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.trust.line.reader.register(cx.waker());
        self.check()?;
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for BoundedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<I, S> Accept<I, S> for Connections {
    type Stream = BoundedStream<I>;
    type Service = AddExtension<S, Trust>;
    type Future = Ready<io::Result<(Self::Stream, Self::Service)>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        let trust = self.enter();
        let service = Extension(trust.clone()).layer(service);
        ready(Ok((BoundedStream { stream, trust }, service)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(connections: &Connections) -> BoundedStream<tokio::io::Empty> {
        BoundedStream { stream: tokio::io::empty(), trust: connections.enter() }
    }

    #[tokio::test]
    async fn the_oldest_stranger_makes_room() {
        let connections = Connections::new(3);
        let person = open(&connections);
        person.trust.vouch();
        let (first, second) = (open(&connections), open(&connections));
        assert!(first.check().is_ok());
        let third = open(&connections);
        assert!(first.check().is_err() && second.check().is_ok() && person.check().is_ok());
        // One that closes makes room as well, and one that was ended can be vouched for no more.
        drop(second);
        first.trust.vouch();
        let fourth = open(&connections);
        assert!(third.check().is_ok() && fourth.check().is_ok() && person.check().is_ok());
        for stream in [&third, &fourth] {
            stream.trust.vouch();
        }
        let _fifth = open(&connections);
        assert!(person.check().is_err(), "where all are trusted, the one least recently vouched for ends");
        assert!(third.check().is_ok() && fourth.check().is_ok());
    }

    #[tokio::test]
    async fn who_waits_for_bytes_is_woken_when_the_connection_ends() {
        let connections = Connections::new(1);
        let (_peer, stream) = tokio::io::duplex(8);
        let mut waiting = BoundedStream { stream, trust: connections.enter() };
        let read = tokio::spawn(async move {
            tokio::io::AsyncReadExt::read(&mut waiting, &mut [0; 8]).await.map_err(|e| e.kind())
        });
        tokio::task::yield_now().await;
        let _newer = open(&connections);
        assert_eq!(read.await.unwrap(), Err(io::ErrorKind::ConnectionAborted));
    }
}
