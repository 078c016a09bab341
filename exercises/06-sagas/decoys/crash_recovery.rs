//! Wrong answers to crash recovery, as people write them in good faith. The head of each says what is
//! wrong and which check finds out.

mod driving;
mod keeping;
mod lasting;
mod pieces;
mod reading;
mod resuming;
mod sharing;

use driving::*;
use grading::Decoy;
use keeping::*;
use lasting::*;
use locks::lease::{self, Held, Lease, RedisLease};
use pieces::*;
use reading::*;
use resuming::*;
use sagas::crash_recovery::{Context, Error, Options, Recovery, TakenOver};
use sagas::journal::{self, Tables};
use sagas::orchestration::steps::Steps;
use sagas::{Entry, Next, Outcome, Saga};
use sagas_exercises::crash_recovery::check;
use serde::de::DeserializeOwned;
use sharing::*;
use std::future::Future;
use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

/// Every decoy with the check that must reject it.
pub fn all() -> Vec<Decoy> {
    grading::decoys![check as Written;
        RunsItAgain: start_to_end,
        WritesAtTheEnd: entry_before_next,
        KnownByIdAlone: two_names,
        StateInMemory: killed_in_an_action,
        ResumesFromTheStart: killed_in_an_action,
        EntryBeforeEffect: killed_in_an_action,
        CancelsWhatItFinds: killed_in_an_action,
        OutcomeApart: killed_at_a_statement,
        EntryInTwoSteps: killed_at_a_statement,
        OutcomeBehindTheEntry: killed_at_a_statement,
        OnlyDoneCounts: killed_undoing,
        TakesOverOnce: killed_again,
        NeverAsks: asked_first,
        BegunWhereThereAreEntries: asked_first,
        BegunForEver: only_the_first,
        BelievesTheNo: refused_when_resumed,
        BegunIfItCanBeAsked: refused_when_resumed,
        CountsClaimsAnew: refused_when_resumed,
        UnknownIsRefused: refused_when_resumed,
        AsTheyLie: all_entries,
        SortedAsText: all_entries,
        LastEntryOnly: all_entries,
        TenEntries: all_entries,
        ParksWithoutReason: all_entries,
        TakesTheNewContext: started_again,
        LeavesItToOthers: started_again,
        ExtendsInTheBackground: dropped_caller,
        NoLease: one_driver,
        LeaseOfTheProgram: one_driver,
        LeaseByIdAlone: lease_by_name,
        ListedWithEntries: listed_twice,
        LeaseNotExtended: long_step,
        LongLease: long_step,
        DrivesOneAtATime: long_step,
        ExtendsOnce: long_step,
        ExtendsWhatItBegan: long_step,
        DeafToLoss: lease_lost,
        DeafWhenItTakesOver: lease_lost,
        BelievesItsLease: stopped_driver,
        ClaimsWithoutToken: late_refusal,
        LooksThenAppends: late_refusal,
        NewLeaseNewToken: late_refusal,
        SameWordsAreMine: late_echo,
        DrawsItsOwnToken: late_claim,
        TakesWhatItBegins: late_claim,
        RaisesAndReadsAtOnce: claim_waits,
        ErrorIsAFailure: lost_replies,
        AppendsAgain: lost_replies,
        WaitsForEver: postgres_stalls,
        NothingIfAway: postgres_away,
        GoesOnWithoutRedis: redis_away,
        AwayIsElsewhere: redis_away,
        KeepsWhatItRead: parked,
        TriesParkedAgain: parked,
        CountsParkedAsEnded: parked,
        LooksAtAll: ended_long_ago,
        CompensatedIsNoEnd: ended_long_ago,
        ContextFirst: ended_long_ago,
        EndsByTheEntries: ended_long_ago,
        OutcomeWithTheEntryOnly: nothing_left,
        OfTheLastDay: left_for_long,
        GivesUpAfterTen: left_for_long,
        IdBetweenQuotes: any_id,
        FirstErrorEndsAll: unreadable,
        GivesUpWhatItCannotRead: unreadable,
        SkipsWhatItCannotRead: unreadable,
        AHundredAtATime: unreadable,
        PagesByOffset: hundreds,
    ]
}

/// What an answer consists of.
pub struct Plain {
    tables: Tables,
    leases: RedisLease,
    options: Options,
}

/// A saga as it was found.
pub struct Found {
    context: String,
    entries: Vec<Entry>,
    outcome: Option<Outcome>,
    begun: bool,
}

/// An answer is as it should be, but for what a decoy writes itself.
pub struct Written<W>(Plain, PhantomData<W>);

/// Where a saga is, and with which token it is driven.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    saga: &'a str,
    id: &'a str,
    token: i64,
}

/// How each part is done, unless it is done wrongly.
pub trait Way: Send + Sync + Sized + 'static {
    fn timeout(options: Options) -> Duration {
        options.timeout
    }

    fn ttl(options: Options) -> Duration {
        options.ttl
    }

    fn begin(
        plain: &Plain,
        at: Place<'_>,
        context: &str,
    ) -> impl Future<Output = Result<bool, Error>> + Send {
        plain.begin(at, context)
    }

    fn list(plain: &Plain, saga: &str) -> impl Future<Output = Result<Vec<String>, Error>> + Send {
        plain.list("SELECT id FROM saga WHERE name = $1 AND outcome IS NULL ORDER BY id", saga)
    }

    fn claim(plain: &Plain, at: Place<'_>) -> impl Future<Output = Result<Found, Error>> + Send {
        plain.claim(at)
    }

    fn append(
        plain: &Plain,
        at: Place<'_>,
        position: usize,
        entry: &Entry,
        stands: Option<Outcome>,
    ) -> impl Future<Output = Result<(), Error>> + Send {
        plain.append(at, position, entry, stands)
    }

    fn held<T: Send, F: Future<Output = Result<T, Error>> + Send>(
        plain: &Plain,
        name: &str,
        work: impl FnOnce(i64) -> F + Send,
    ) -> impl Future<Output = Result<T, Error>> + Send {
        plain.held(name, work)
    }

    /// As `held`, for what is taken over.
    fn held_over<T: Send, F: Future<Output = Result<T, Error>> + Send>(
        plain: &Plain,
        name: &str,
        work: impl FnOnce(i64) -> F + Send,
    ) -> impl Future<Output = Result<T, Error>> + Send {
        Self::held(plain, name, work)
    }

    /// What has been driven to where it stands.
    fn count(outcome: Outcome, taken: &mut TakenOver) {
        match outcome {
            Outcome::Parked => taken.parked += 1,
            Outcome::Completed | Outcome::Compensated => taken.ended += 1,
        }
    }

    fn drive<C: Context>(
        plain: &Plain,
        saga: &Saga<C>,
        at: Place<'_>,
        context: Arc<C>,
        entries: Vec<Entry>,
        begun: bool,
    ) -> impl Future<Output = Result<Outcome, Error>> + Send {
        plain.drive::<Self, C>(saga, at, context, entries, begun)
    }

    fn go_on<C: Context>(
        plain: &Plain,
        saga: &Saga<C>,
        at: Place<'_>,
    ) -> impl Future<Output = Result<(Outcome, bool), Error>> + Send {
        plain.go_on::<Self, C>(saga, at)
    }

    fn take_over<C: Context>(
        plain: &Plain,
        saga: &Saga<C>,
    ) -> impl Future<Output = Result<TakenOver, Error>> + Send {
        plain.take_over::<Self, C>(saga)
    }
}

impl Plain {
    async fn begin(&self, at: Place<'_>, context: &str) -> Result<bool, Error> {
        let begin = "INSERT INTO saga (name, id, context, token, claims) VALUES ($1, $2, $3, $4, 1)
                     ON CONFLICT DO NOTHING RETURNING id";
        let row = self.tables.row(begin, &[&at.saga, &at.id, &context, &at.token]).await?;
        Ok(row.is_some())
    }

    async fn list(&self, list: &str, saga: &str) -> Result<Vec<String>, Error> {
        let rows = self.tables.rows(list, &[&saga]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    async fn claim(&self, at: Place<'_>) -> Result<Found, Error> {
        let claim = "UPDATE saga SET token = $3, claims = claims + 1
                     WHERE name = $1 AND id = $2 AND token <= $3
                     RETURNING context, claims, outcome";
        let row = self.tables.row(claim, &[&at.saga, &at.id, &at.token]).await?;
        let row = row.ok_or_else(|| fenced(at))?;
        let outcome: Option<&str> = row.get("outcome");
        Ok(Found {
            context: row.get("context"),
            outcome: outcome.map(|word| read(&format!("\"{word}\""))).transpose()?,
            begun: row.get::<_, i32>("claims") > 1,
            entries: self.entries(at).await?,
        })
    }

    async fn entries(&self, at: Place<'_>) -> Result<Vec<Entry>, Error> {
        let all = "SELECT entry FROM saga_entry WHERE name = $1 AND id = $2 ORDER BY position";
        let rows = self.tables.rows(all, &[&at.saga, &at.id]).await?;
        rows.iter().map(|row| read(row.get(0))).collect()
    }

    async fn append(
        &self,
        at: Place<'_>,
        position: usize,
        entry: &Entry,
        stands: Option<Outcome>,
    ) -> Result<(), Error> {
        let append = "WITH fenced AS (
                        UPDATE saga SET token = $4, entries = $3 + 1, outcome = $6
                        WHERE name = $1 AND id = $2 AND token <= $4 AND entries = $3 RETURNING 1)
                      INSERT INTO saga_entry (name, id, position, token, entry)
                      SELECT $1, $2, $3, $4, $5 FROM fenced RETURNING position";
        let (position, text) = (position as i32, text(entry));
        let word = stands.map(Outcome::word);
        let row = self
            .tables
            .row(append, &[&at.saga, &at.id, &position, &at.token, &text, &word])
            .await?;
        row.map(drop).ok_or_else(|| fenced(at))
    }

    async fn held<T: Send, F: Future<Output = Result<T, Error>> + Send>(
        &self,
        name: &str,
        work: impl FnOnce(i64) -> F + Send,
    ) -> Result<T, Error> {
        let lease = self.leases.acquire(name, Duration::ZERO).await.map_err(no_lease)?;
        let extending = async {
            loop {
                tokio::time::sleep(self.options.ttl / 3).await;
                let _ = lease.extend().await;
            }
        };
        tokio::select! {
            biased;
            () = lease.lost() => Err(Error::Lost),
            () = extending => Err(Error::Lost),
            done = work(lease.token() as i64) => done,
        }
    }

    async fn drive<W: Way, C: Context>(
        &self,
        saga: &Saga<C>,
        at: Place<'_>,
        context: Arc<C>,
        mut entries: Vec<Entry>,
        mut begun: bool,
    ) -> Result<Outcome, Error> {
        let steps = Steps::of(saga, at.id, &context);
        loop {
            let entry = match steps.next(&entries, begun).await? {
                ControlFlow::Continue(entry) => entry,
                ControlFlow::Break(outcome) => {
                    self.settle(at, outcome).await?;
                    return Ok(outcome);
                }
            };
            entries.push(entry);
            let stands = rest(saga, &entries)?;
            let position = entries.len() - 1;
            W::append(self, at, position, &entries[position], stands).await?;
            if let Some(outcome) = stands {
                return Ok(outcome);
            }
            begun = false;
        }
    }

    async fn settle(&self, at: Place<'_>, outcome: Outcome) -> Result<(), Error> {
        let settle = "UPDATE saga SET outcome = $4 WHERE name = $1 AND id = $2 AND token <= $3";
        self.tables.rows(settle, &[&at.saga, &at.id, &at.token, &outcome.word()]).await?;
        Ok(())
    }

    async fn go_on<W: Way, C: Context>(
        &self,
        saga: &Saga<C>,
        at: Place<'_>,
    ) -> Result<(Outcome, bool), Error> {
        let found = W::claim(self, at).await?;
        if let Some(outcome) = found.outcome {
            return Ok((outcome, false));
        }
        let context = Arc::new(read(&found.context)?);
        let outcome = W::drive(self, saga, at, context, found.entries, found.begun).await?;
        Ok((outcome, true))
    }

    async fn take_over<W: Way, C: Context>(&self, saga: &Saga<C>) -> Result<TakenOver, Error> {
        let mut taken = TakenOver::default();
        for id in W::list(self, saga.name).await? {
            let lease = lease_of(saga.name, &id);
            let driven = W::held_over(self, &lease, |token| {
                W::go_on(self, saga, Place { saga: saga.name, id: &id, token })
            });
            match driven.await {
                Ok((outcome, true)) => W::count(outcome, &mut taken),
                Ok((_, false)) | Err(Error::Driven) => taken.elsewhere += 1,
                Err(_) => taken.failed += 1,
            }
        }
        Ok(taken)
    }
}

impl<W: Way> Recovery for Written<W> {
    fn open(postgres: &str, redis: &str, options: Options) -> Result<Self, Error> {
        let tables = Tables::open(postgres, W::timeout(options))?;
        let (ttl, timeout) = (W::ttl(options), options.timeout);
        let leases = RedisLease::open(redis, lease::Options { ttl, timeout })
            .map_err(|error| Error::Lease(error.into()))?;
        Ok(Written(Plain { tables, leases, options }, PhantomData))
    }

    async fn start<C: Context>(
        &self,
        saga: &Saga<C>,
        id: &str,
        context: C,
    ) -> Result<Outcome, Error> {
        let plain = &self.0;
        W::held(plain, &lease_of(saga.name, id), |token| async move {
            let at = Place { saga: saga.name, id, token };
            if W::begin(plain, at, &text(&context)).await? {
                W::drive(plain, saga, at, Arc::new(context), Vec::new(), false).await
            } else {
                Ok(W::go_on(plain, saga, at).await?.0)
            }
        })
        .await
    }

    async fn take_over<C: Context>(&self, saga: &Saga<C>) -> Result<TakenOver, Error> {
        W::take_over(&self.0, saga).await
    }
}
