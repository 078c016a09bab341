//! What is remembered in one process, of which there are several.

use super::orders::{Plain, finish_with_upsert, found, stores};
use sagas::idempotency_keys::{Answer, Error, Keys, Options, Request, Response, Scope, Work};
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Looks, works and writes the key last, with a lock around it. There are two processes. Rejected by `anywhere`.
pub(super) struct MutexInTheProcess(Plain, tokio::sync::Mutex<()>);

/// Remembers in memory which keys are under way, and forgets them in the line after the work. That
/// line does not run for work that panics. Rejected by `panicked_work`.
pub(super) struct SetOfThoseUnderWay(Plain, Mutex<HashSet<[u8; 32]>>);

/// Keeps the answers in memory as well, which saves a round trip, and never forgets them. What has
/// expired in the database is answered from there for as long as the process lives. Rejected by
/// `expired`.
pub(super) struct CachesTheAnswer(Plain, Mutex<Answers>);

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
