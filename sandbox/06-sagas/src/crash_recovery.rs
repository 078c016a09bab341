//! 06.7 · Crash recovery: a saga that was killed at any step goes on from there, once.
//!
//! A process may end between any two of its instructions, and what it knew ends with it. The money
//! that it has moved stays moved. So what has happened stands in a journal ([`journal`]), in a
//! database that outlives the process, and another process reads it and goes on. The contract
//! [`Recovery`] names the promises, [`Driver`] keeps them:
//!
//! | promise | how |
//! | --- | --- |
//! | Killed anywhere, each saga comes to an end that fits its effects | one entry a step, committed before the next step begins |
//! | It goes on where it was, and does not begin again | what comes next is read from the entries |
//! | A step that was begun and has no entry is not done twice | its inquiry is asked first; and the same key at each attempt |
//! | One drives, of however many processes | a lease on the saga, extended while it is driven |
//! | Who was stopped, and wakes too late, writes nothing | each write shows the lease's fencing token; taking over raises the fence first |
//! | A saga that cannot go on holds up no other, and one that has ended is not looked at | each by itself; an index of those that have not |
//!
//! Between an effect and its entry there is always room for a crash: they are in two places. So a
//! step may be called again after it was done. Why ask first, where the key would do? Because a key
//! is forgotten: payment providers keep them for a day or so, and a saga may lie for a week. What was
//! done is remembered for much longer.
//!
//! What it does not promise:
//!
//! - **That a late action is stopped.** The fence stands before the journal, and the card is charged
//!   elsewhere. A driver that was stopped in the middle of a call makes it when it wakes, beside its
//!   successor. Both show the same key, and that is what makes them one.
//! - **That it is soon.** A saga whose driver died lies until its lease is over, and somebody looks.
//! - **More than the database keeps.** A replica that takes over without the last commits has
//!   forgotten steps that were done. They are done again, with their keys.
//!
//! Sources: H. Garcia-Molina and K. Salem, [Sagas](https://doi.org/10.1145/38713.38742), SIGMOD 1987,
//! section 6, on the saga's log; C. Mohan et al., [ARIES](https://doi.org/10.1145/128765.128770), TODS
//! 1992, for the log that is ahead of what comes next; M. Kleppmann, [How to do distributed
//! locking](https://martin.kleppmann.com/2016/02/08/how-to-do-distributed-locking.html), 2016.

mod watch;

use crate::journal::{self, Journal, Line, PgJournal, Tables};
use crate::orchestration::steps::Steps;
use crate::saga::{Entry, Next, Outcome, Saga, UnknownStep};
use futures_util::stream::{FuturesUnordered, StreamExt};
use locks::lease::{self, Held, Lease, RedisLease};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::future::Future;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

/// So many sagas are taken over at a time, and listed at a time.
const AT_ONCE: usize = 8;
const PAGE: u32 = 100;

// ANCHOR: contract
/// The contract: drives sagas to their end, whatever dies meanwhile. Its journal lies in PostgreSQL, in
/// the tables of [`journal::SCHEMA`], its leases in Redis.
///
/// A saga has one driver at a time. It holds the lease on `saga:NAME:ID`, extends it as long as it
/// drives, and stops at once, also in the middle of a step, when the lease is lost. No call waits until
/// another saga is driven.
///
/// An entry is in the journal before anything else is begun, and once; with the last one the saga's
/// `outcome` is there too. Where no step is left to say it with, as after a change of the program, it
/// is there all the same.
///
/// What comes next follows from all entries, in their order, whoever has written them. A step that has
/// none may have been begun by who drove before: its inquiry is asked before it is attempted. A "no"
/// is said of now. So where such a step is refused, and not for good, it is undone with the others.
///
/// Where PostgreSQL or Redis are away, calls end with an error, and when they are back the same call
/// works. An answer of theirs that was lost does no harm. A caller may be dropped, its process stopped
/// or killed at any moment: then somebody else takes over when the lease is over.
pub trait Recovery: Send + Sync + Sized + 'static {
    /// Connects at the first call.
    ///
    /// # Errors
    /// Only for a URL that cannot be read.
    fn open(postgres: &str, redis: &str, options: Options) -> Result<Self, Error>;

    /// Begins the saga `id`, with a context that the journal keeps, and drives it to its end. Where it
    /// has begun before, it goes on with what the journal holds, and one that has ended is only
    /// reported: how it stands, even where nobody can read the rest of it any more.
    ///
    /// # Errors
    /// See [`Error`]. Where it had been begun, whoever takes over goes on with it; and the same call
    /// may be made again.
    fn start<C: Context>(
        &self,
        saga: &Saga<C>,
        id: &str,
        context: C,
    ) -> impl Future<Output = Result<Outcome, Error>> + Send;

    /// Drives to their end all sagas of this name that have not come to one, and that nobody drives,
    /// however long they lay and however often they were taken over. What is parked waits for a
    /// person. A saga that cannot go on holds up no other.
    ///
    /// Called when a program starts, and again about every TTL, also while its other calls drive.
    ///
    /// # Errors
    /// The journal could not say which there are.
    fn take_over<C: Context>(
        &self,
        saga: &Saga<C>,
    ) -> impl Future<Output = Result<TakenOver, Error>> + Send;
}

/// What all steps of a saga know, as it is kept in the journal: in JSON.
pub trait Context: Serialize + DeserializeOwned + Send + Sync + 'static {}

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Context for T {}

/// How sagas are driven.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How long the lease on a saga lasts whose driver is dead. Then it can be taken over.
    pub ttl: Duration,
    /// How long to wait for PostgreSQL and for Redis, each time. Small beside the TTL.
    pub timeout: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options { ttl: Duration::from_secs(10), timeout: Duration::from_secs(1) }
    }
}

/// What became of the sagas that had not ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TakenOver {
    /// Driven to their end here: completed, or compensated.
    pub ended: usize,
    /// Driven until a person has to look.
    pub parked: usize,
    /// Driven by another.
    pub elsewhere: usize,
    /// They could not go on now. The next time they are looked at again.
    pub failed: usize,
}

/// Why a saga was not driven to its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another drives it.
    #[error("somebody else drives this saga")]
    Driven,
    /// The lease was lost on the way. Another may drive it by now.
    #[error("the lease on the saga was lost, and so it is not ours to go on with")]
    Lost,
    /// Redis could not be asked for the lease.
    #[error("no lease on the saga: {0}")]
    Lease(#[source] lease::Error),
    /// The journal failed or refused.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// The journal is not one of this saga.
    #[error(transparent)]
    UnknownStep(#[from] UnknownStep),
}
// ANCHOR_END: contract

/// The reference, over any journal and any leases.
///
/// A saga of five steps that nobody disturbs costs six commits, one for its beginning and one for each
/// step, and in Redis a lease and its release.
#[derive(Clone, Debug)]
pub struct Driver<J, L> {
    journal: J,
    leases: L,
    ttl: Duration,
}

impl<J: Journal, L: Lease> Driver<J, L> {
    /// A driver with this journal, and with leases that last for `ttl`.
    pub fn new(journal: J, leases: L, ttl: Duration) -> Driver<J, L> {
        Driver { journal, leases, ttl }
    }

    /// The journal.
    pub fn journal(&self) -> &J {
        &self.journal
    }

    /// Drives a saga that stands in the journal: one that has been begun in the caller's own
    /// transaction, as with [`PgJournal::begin_in`].
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn go_on<C: Context>(&self, saga: &Saga<C>, id: &str) -> Result<Outcome, Error> {
        self.under_lease(saga, id, async |token| Ok(self.claimed(saga, id, token).await?.0)).await
    }

    /// A person has looked at a saga that is parked, and it is to be tried again. One that is not
    /// parked is driven as by [`Driver::go_on`].
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn resume<C: Context>(&self, saga: &Saga<C>, id: &str) -> Result<Outcome, Error> {
        self.under_lease(saga, id, async |token| {
            let record = self.patiently(|| self.journal.claim(saga.name, id, token)).await?;
            if record.stands == Some(Outcome::Parked) {
                let line = Line { saga: saga.name, id, position: record.entries.len(), token };
                self.patiently(|| self.journal.append(line, &Entry::Resumed, None)).await?;
            }
            Ok(self.claimed(saga, id, token).await?.0)
        })
        .await
    }

    // ANCHOR: under_lease
    /// Does `work` with the token of a lease on the saga, for as long as it is ours.
    async fn under_lease<C, T, W>(
        &self,
        saga: &Saga<C>,
        id: &str,
        work: impl FnOnce(u64) -> W,
    ) -> Result<T, Error>
    where
        W: Future<Output = Result<T, Error>>,
    {
        let lease = match self.leases.acquire(&lease_of(saga, id), Duration::ZERO).await {
            Ok(lease) => lease,
            Err(lease::Error::Busy(_)) => return Err(Error::Driven),
            Err(error) => return Err(Error::Lease(error)),
        };
        let done = watch::while_held(&lease, self.ttl, work(lease.token())).await;
        // Where Redis cannot be told, it ends with its TTL; what was done is done.
        let _ = lease.release().await;
        done.unwrap_or(Err(Error::Lost))
    }
    // ANCHOR_END: under_lease

    /// Goes on with a saga that somebody has begun. Whether there was anything to do comes with it.
    async fn claimed<C: Context>(
        &self,
        saga: &Saga<C>,
        id: &str,
        token: u64,
    ) -> Result<(Outcome, bool), Error> {
        let record = self.patiently(|| self.journal.claim(saga.name, id, token)).await?;
        if let Some(outcome) = record.stands {
            return Ok((outcome, false));
        }
        let context = serde_json::from_str(&record.context)
            .map_err(|error| journal::Error::Unreadable(format!("the context: {error}")))?;
        let entries = record.entries;
        let outcome = self.drive(saga, id, Arc::new(context), token, entries, record.begun).await?;
        Ok((outcome, true))
    }

    // ANCHOR: drive
    /// From what the journal holds to the end. `begun`: the next step may have been begun by somebody
    /// who did not come to write down what became of it.
    async fn drive<C: Context>(
        &self,
        saga: &Saga<C>,
        id: &str,
        context: Arc<C>,
        token: u64,
        mut entries: Vec<Entry>,
        mut begun: bool,
    ) -> Result<Outcome, Error> {
        let steps = Steps::of(saga, id, &context);
        loop {
            let entry = match steps.next(&entries, begun).await? {
                ControlFlow::Continue(entry) => entry,
                ControlFlow::Break(outcome) => {
                    let settle = || self.journal.settle(saga.name, id, token, outcome);
                    self.patiently(settle).await?;
                    return Ok(outcome);
                }
            };
            let line = Line { saga: saga.name, id, position: entries.len(), token };
            entries.push(entry);
            let stands = match saga.next(&entries)? {
                Next::Rest(outcome) => Some(outcome),
                Next::Act(_) | Next::Compensate(_) => None,
            };
            // Before anything else is begun: from here on, whoever takes over knows of it.
            let entry = &entries[line.position];
            self.patiently(|| self.journal.append(line, entry, stands)).await?;
            if let Some(outcome) = stands {
                return Ok(outcome);
            }
            begun = false;
        }
    }
    // ANCHOR_END: drive

    /// Calls the journal until it answers, for about a TTL. What it did when its answer was lost, it
    /// finds again.
    async fn patiently<T, A>(&self, call: impl Fn() -> A) -> Result<T, journal::Error>
    where
        A: Future<Output = Result<T, journal::Error>>,
    {
        let until = tokio::time::Instant::now() + self.ttl;
        let mut pause = Duration::from_millis(10);
        loop {
            match call().await {
                Err(journal::Error::Failed(why)) if tokio::time::Instant::now() < until => {
                    tracing::debug!(%why, "the journal is asked again");
                }
                answer => return answer,
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(500));
        }
    }
}

impl Recovery for Driver<PgJournal, RedisLease> {
    fn open(postgres: &str, redis: &str, options: Options) -> Result<Self, Error> {
        let Options { ttl, timeout } = options;
        let journal = PgJournal::on(Tables::open(postgres, timeout)?);
        let leases = RedisLease::open(redis, lease::Options { ttl, timeout })
            .map_err(|error| Error::Lease(error.into()))?;
        Ok(Driver::new(journal, leases, ttl))
    }

    async fn start<C: Context>(
        &self,
        saga: &Saga<C>,
        id: &str,
        context: C,
    ) -> Result<Outcome, Error> {
        let text = serde_json::to_string(&context)
            .map_err(|error| journal::Error::Unreadable(format!("the context: {error}")))?;
        let begun = self
            .under_lease(saga, id, async |token| {
                let begin = || self.journal.begin(saga.name, id, &text, token);
                if !self.patiently(begin).await? {
                    return Ok(self.claimed(saga, id, token).await?.0);
                }
                self.drive(saga, id, Arc::new(context), token, Vec::new(), false).await
            })
            .await;
        if let Err(Error::Lease(_)) = begun {
            // Redis is away, and the order is in. It begins, and whoever takes over drives it.
            self.journal.begin(saga.name, id, &text, 0).await?;
        }
        begun
    }

    async fn take_over<C: Context>(&self, saga: &Saga<C>) -> Result<TakenOver, Error> {
        Driver::take_over(self, saga).await
    }
}

impl<J: Journal, L: Lease> Driver<J, L> {
    /// As [`Recovery::take_over`], with any journal and any leases.
    ///
    /// # Errors
    /// As [`Recovery::take_over`].
    pub async fn take_over<C: Context>(&self, saga: &Saga<C>) -> Result<TakenOver, Error> {
        let mut taken = TakenOver::default();
        let mut after = String::new();
        loop {
            let ids = self.journal.unfinished(saga.name, &after, PAGE).await?;
            let Some(last) = ids.last() else { return Ok(taken) };
            after = last.clone();
            // ANCHOR: take_over
            let mut waiting = ids.iter();
            let mut driven = FuturesUnordered::new();
            loop {
                while driven.len() < AT_ONCE
                    && let Some(id) = waiting.next()
                {
                    driven.push(self.one_of_many(saga, id));
                }
                let Some(became) = driven.next().await else { break };
                match became {
                    Ok((Outcome::Completed | Outcome::Compensated, true)) => taken.ended += 1,
                    Ok((Outcome::Parked, true)) => taken.parked += 1,
                    // It has ended since it was listed.
                    Ok((_, false)) | Err(Error::Driven) => taken.elsewhere += 1,
                    Err(_) => taken.failed += 1,
                }
            }
            // ANCHOR_END: take_over
        }
    }

    async fn one_of_many<C: Context>(
        &self,
        saga: &Saga<C>,
        id: &str,
    ) -> Result<(Outcome, bool), Error> {
        let became = self.under_lease(saga, id, |token| self.claimed(saga, id, token)).await;
        match &became {
            Err(Error::Driven) | Ok(_) => {}
            Err(error) => tracing::warn!(saga = saga.name, id, %error, "could not be taken over"),
        }
        became
    }
}

fn lease_of<C>(saga: &Saga<C>, id: &str) -> String {
    format!("saga:{}:{id}", saga.name)
}
