//! What is remembered in one process, of which there are several.

use super::orders::{Plain, finish_with_upsert, found, stores};
use sagas::idempotency_keys::{Answer, Error, Keys, Options, Request, Response, Scope, Work};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Looks, works and writes the key last, with a lock around it. There are two processes. Rejected by `anywhere`.
pub(super) struct MutexInTheProcess(Plain, tokio::sync::Mutex<()>);

/// The same with a lock for each key, which all stores of the process share: two of them are no
/// longer in each other's way, and those of another process never were. Rejected by `two_processes`.
pub(super) struct MutexForAll(Plain);

static LOCKS: LazyLock<Mutex<Locks>> = LazyLock::new(Mutex::default);

/// Who comes second waits in the process's own queue, with nothing in its hand, and whoever is first
/// in that queue waits in PostgreSQL, with a connection. There may be no more than one. Rejected by
/// `neighbours`.
pub(super) struct QueuesInTheProcess(Plain, Mutex<Locks>);

/// Remembers in memory which keys are under way, and forgets them in the line after the work. That
/// line does not run for work that panics. Rejected by `panicked_work`.
pub(super) struct SetOfThoseUnderWay(Plain, Mutex<HashSet<[u8; 32]>>);

/// Keeps the answers in memory as well, which saves a round trip, and never forgets them. What has
/// expired in the database is answered from there for as long as the process lives. Rejected by
/// `expired`.
pub(super) struct CachesTheAnswer(Plain, Mutex<Answers>);

/// By the request's name.
type Locks = HashMap<[u8; 32], Arc<tokio::sync::Mutex<()>>>;

/// By the request's name and fingerprint.
type Answers = HashMap<([u8; 32], Vec<u8>), Response>;

stores! {
    MutexInTheProcess(tokio::sync::Mutex::default()) {
        async fn once<W>(&self, request: &Request<'_>, work: W) -> Result<Answer, Error>
        where
            W: for<'t> FnOnce(Scope<'t>) -> Work<'t> + Send,
        {
            let _one = self.1.lock().await;
            let answer = async {
                let mut connection = self.0.pool.get().await?;
                let transaction = connection.transaction().await?;
                match found(&transaction, request).await? {
                    Some(answer) => Ok(answer),
                    None => finish_with_upsert(transaction, request, self.0.keep(), work).await,
                }
            };
            self.0.in_time(answer).await
        }
    }

    MutexForAll() {
        async fn once<W>(&self, request: &Request<'_>, work: W) -> Result<Answer, Error>
        where
            W: for<'t> FnOnce(Scope<'t>) -> Work<'t> + Send,
        {
            let _one = turn(&LOCKS, request, self.0.options).await?;
            let answer = async {
                let mut connection = self.0.pool.get().await?;
                let transaction = connection.transaction().await?;
                match found(&transaction, request).await? {
                    Some(answer) => Ok(answer),
                    None => finish_with_upsert(transaction, request, self.0.keep(), work).await,
                }
            };
            self.0.in_time(answer).await
        }
    }

    QueuesInTheProcess(Mutex::default()) {
        async fn once<W>(&self, request: &Request<'_>, work: W) -> Result<Answer, Error>
        where
            W: for<'t> FnOnce(Scope<'t>) -> Work<'t> + Send,
        {
            let _one = turn(&self.1, request, self.0.options).await?;
            self.0.simply(request, work).await
        }
    }

    SetOfThoseUnderWay(Mutex::default()) {
        async fn once<W>(&self, request: &Request<'_>, work: W) -> Result<Answer, Error>
        where
            W: for<'t> FnOnce(Scope<'t>) -> Work<'t> + Send,
        {
            let (began, name) = (Instant::now(), request.name());
            while !self.under_way().insert(name) {
                if began.elapsed() > self.0.options.wait {
                    return Err(Error::InProgress { retry_after: self.0.options.timeout });
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let answer = self.0.simply(request, work).await;
            self.under_way().remove(&name);
            answer
        }
    }

    CachesTheAnswer(Mutex::default()) {
        async fn once<W>(&self, request: &Request<'_>, work: W) -> Result<Answer, Error>
        where
            W: for<'t> FnOnce(Scope<'t>) -> Work<'t> + Send,
        {
            let of = (request.name(), request.fingerprint());
            let known = self.answers().get(&of).cloned();
            if let Some(response) = known {
                return Ok(Answer { response, replayed: true });
            }
            let answer = self.0.simply(request, work).await?;
            if answer.response.is_final() {
                self.answers().insert(of, answer.response.clone());
            }
            Ok(answer)
        }
    }
}

/// Waits for its turn in the queue of the key.
async fn turn(
    locks: &Mutex<Locks>,
    request: &Request<'_>,
    options: Options,
) -> Result<tokio::sync::OwnedMutexGuard<()>, Error> {
    let lock = {
        let mut locks = locks.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(locks.entry(request.name()).or_default())
    };
    let turn = tokio::time::timeout(options.wait, lock.lock_owned()).await;
    turn.map_err(|_| Error::InProgress { retry_after: options.timeout })
}

impl SetOfThoseUnderWay {
    fn under_way(&self) -> std::sync::MutexGuard<'_, HashSet<[u8; 32]>> {
        self.1.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CachesTheAnswer {
    fn answers(&self) -> std::sync::MutexGuard<'_, Answers> {
        self.1.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
