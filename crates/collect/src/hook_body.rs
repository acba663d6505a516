//! Bodies of webhook requests, read before anybody knows who sends them.
//!
//! A small one has little time and needs no permit. A large one waits for a permit, so that all together take a bounded
//! amount of memory.

use std::time::Duration;

use axum::body::{Body, Bytes};
use futures_util::StreamExt as _;
use tokio::sync::Semaphore;

use crate::MAX_RAW_BYTES;

/// Up to this size a body needs no permit.
const SMALL_BODY_BYTES: usize = 64 << 10;
/// Maximum wait for a small body, and for the beginning of a large one.
const SMALL_BODY_TIMEOUT: Duration = Duration::from_secs(3);
/// Maximum wait for a permit.
const PERMIT_TIMEOUT: Duration = Duration::from_secs(2);
/// Maximum wait for the rest of a large body.
const LARGE_BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Large bodies at the same time: with their maximum size, 32 MiB.
const MAX_LARGE_BODIES: usize = 32;

/// Why a body is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyError {
    /// It has more than [`MAX_RAW_BYTES`] bytes.
    TooLarge,
    /// It did not arrive in time, or the connection broke.
    Late,
    /// Too many large bodies arrive at the same time.
    Busy,
}

/// Reads bodies, a bounded number of large ones at the same time.
pub struct BodyReader {
    permits: Semaphore,
}

impl Default for BodyReader {
    fn default() -> Self {
        Self { permits: Semaphore::new(MAX_LARGE_BODIES) }
    }
}

impl BodyReader {
    /// Reads a body of at most [`MAX_RAW_BYTES`] bytes.
    pub async fn read(&self, body: Body) -> Result<Vec<u8>, BodyError> {
        let mut chunks = body.into_data_stream();
        let mut read = Vec::new();
        let is_whole = read_until(&mut chunks, &mut read, SMALL_BODY_BYTES);
        if within(SMALL_BODY_TIMEOUT, is_whole).await? {
            return Ok(read);
        }
        let permit = tokio::time::timeout(PERMIT_TIMEOUT, self.permits.acquire()).await;
        let _permit = permit.ok().and_then(Result::ok).ok_or(BodyError::Busy)?;
        let is_whole = read_until(&mut chunks, &mut read, MAX_RAW_BYTES);
        if within(LARGE_BODY_TIMEOUT, is_whole).await? { Ok(read) } else { Err(BodyError::TooLarge) }
    }
}

async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, BodyError>>,
) -> Result<T, BodyError> {
    tokio::time::timeout(limit, work).await.unwrap_or(Err(BodyError::Late))
}

/// Appends chunks until there are more bytes than a limit. Returns whether it was all.
async fn read_until(
    chunks: &mut (impl futures_util::Stream<Item = Result<Bytes, axum::Error>> + Unpin),
    read: &mut Vec<u8>,
    limit: usize,
) -> Result<bool, BodyError> {
    while read.len() <= limit {
        match chunks.next().await {
            None => return Ok(true),
            Some(Ok(chunk)) => read.extend_from_slice(&chunk),
            Some(Err(_)) => return Err(BodyError::Late),
        }
    }
    Ok(false)
}
