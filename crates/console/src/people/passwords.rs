//! Hashes passwords with argon2id: 19 MiB, two passes and a random salt, as OWASP recommends.
//!
//! Two threads do it for all requests, each in its own memory, so that sign-ins of strangers take a fixed amount of it.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use tokio::sync::{mpsc, oneshot};

use crate::error::StoreError;

/// Threads that hash.
const THREADS: usize = 2;
/// Sign-ins that may wait for a thread; each takes some 20 ms.
const MAX_WAITING: usize = 8;
/// How long a sign-in waits for a place among them.
const MAX_WAIT: Duration = Duration::from_secs(1);

/// The memory of a thread.
type Memory = Vec<Block>;
type Job = Box<dyn FnOnce(&mut Memory) + Send>;

/// A handle to the hashing threads, which end with its last clone.
#[derive(Clone)]
pub(super) struct Passwords {
    jobs: mpsc::Sender<Job>,
}

impl Passwords {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start() -> Result<Self, StoreError> {
        let (jobs, waiting) = mpsc::channel::<Job>(MAX_WAITING);
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..THREADS {
            let waiting = waiting.clone();
            let next = move || waiting.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
            let work = move || {
                let mut memory = Memory::new();
                std::iter::from_fn(next).for_each(|job| job(&mut memory));
            };
            let started = thread::Builder::new().name("passwords".into()).spawn(work);
            started.map_err(|e| StoreError::Row(format!("no thread for passwords: {e}")))?;
        }
        Ok(Self { jobs })
    }

    /// Returns the hash of a password, with its salt and parameters.
    ///
    /// # Errors
    /// [`StoreError::Busy`] when too many others wait.
    pub async fn hash(&self, password: String) -> Result<String, StoreError> {
        let hashed = self.run(move |memory| hash_in(memory, &password, Salt::generate(), Params::DEFAULT));
        let hashed =
            hashed.await?.map_err(|e| StoreError::Row(format!("a password cannot be hashed: {e}")))?;
        Ok(hashed.to_string())
    }

    /// Returns whether a hash is of a password.
    ///
    /// # Errors
    /// [`StoreError::Busy`] when too many others wait.
    pub async fn verify(&self, password: String, hash: String) -> Result<bool, StoreError> {
        let verify = move |memory: &mut Memory| {
            let kept = PasswordHash::new(&hash).ok()?;
            let hashed = hash_in(memory, &password, kept.salt?, Params::try_from(&kept).ok()?).ok()?;
            // Compares in constant time.
            Some(hashed.hash? == kept.hash?)
        };
        Ok(self.run(verify).await? == Some(true))
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Memory) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let place = tokio::time::timeout(MAX_WAIT, self.jobs.reserve()).await;
        let place = place.ok().and_then(Result::ok).ok_or(StoreError::Busy)?;
        place.send(Box::new(move |memory| {
            // Nobody waits any more if the client has hung up.
            if !answer.is_closed() {
                let _ = answer.send(work(memory));
            }
        }));
        answered.await.map_err(|_| StoreError::Row("a thread for passwords has ended".into()))
    }
}

fn hash_in(
    memory: &mut Memory,
    password: &str,
    salt: Salt,
    params: Params,
) -> Result<PasswordHash, argon2::password_hash::Error> {
    memory.resize(params.block_count(), Block::default());
    let mut output = [0; Params::DEFAULT_OUTPUT_LEN];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2.hash_password_into_with_memory(password.as_bytes(), &salt, &mut output, memory)?;
    Ok(PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(argon2.params())?,
        salt: Some(salt),
        hash: Some(Output::new(&output)?),
    })
}

#[cfg(test)]
mod tests {
    use argon2::PasswordVerifier;

    use super::*;

    #[tokio::test]
    async fn a_hash_is_of_its_password_alone_and_unreadable_ones_are_of_none() {
        let passwords = Passwords::start().unwrap();
        let hash = passwords.hash("many plain words in a row".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        // What other programs hash is read as well.
        let parsed = PasswordHash::new(&hash).unwrap();
        Argon2::default().verify_password(b"many plain words in a row", &parsed).unwrap();
        assert!(passwords.verify("many plain words in a row".into(), hash.clone()).await.unwrap());
        assert!(!passwords.verify("other plain words in a row".into(), hash).await.unwrap());
        assert!(!passwords.verify("many plain words in a row".into(), "x".into()).await.unwrap());
    }

    #[tokio::test]
    async fn those_who_wait_too_long_are_refused() {
        let passwords = Passwords::start().unwrap();
        let never = Arc::new(std::sync::Barrier::new(THREADS + MAX_WAITING + 1));
        let block = || {
            let never = never.clone();
            passwords.run(move |_| never.wait())
        };
        let many = futures_util::future::join_all((0..THREADS + MAX_WAITING).map(|_| block()));
        let late = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            passwords.run(|_| ()).await
        };
        tokio::select! {
            _ = many => panic!("they wait for ever"),
            late = late => assert!(matches!(late, Err(StoreError::Busy))),
        }
    }
}
