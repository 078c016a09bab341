//! Mistakes in how long a saga is one's own, and in what is made of it.

use super::*;
use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

/// Extends the lease when half of it is over. Then comes the other half. Rejected by `long_step`.
pub struct ExtendsOnce;

impl Way for ExtendsOnce {
    async fn held<T: Send, F: Future<Output = Result<T, Error>> + Send>(
        plain: &Plain,
        name: &str,
        work: impl FnOnce(i64) -> F + Send,
    ) -> Result<T, Error> {
        let lease = plain.leases.acquire(name, Duration::ZERO).await.map_err(no_lease)?;
        let working = async {
            let working = work(lease.token() as i64);
            tokio::pin!(working);
            tokio::select! {
                done = &mut working => return done,
                () = tokio::time::sleep(plain.options.ttl / 2) => {}
            }
            let _ = lease.extend().await;
            working.await
        };
        tokio::select! {
            biased;
            () = lease.lost() => Err(Error::Lost),
            done = working => done,
        }
    }
}

/// Extends in `start`, where steps take their time. What is taken over was almost done, and is driven
/// with what is left of a lease. Rejected by `long_step`.
pub struct ExtendsWhatItBegan;

impl Way for ExtendsWhatItBegan {
    async fn held_over<T: Send, F: Future<Output = Result<T, Error>> + Send>(
        plain: &Plain,
        name: &str,
        work: impl FnOnce(i64) -> F + Send,
    ) -> Result<T, Error> {
        LeaseNotExtended::held(plain, name, work).await
    }
}

/// Hears that the lease is lost in `start`; the loop that takes over was written on another day.
/// Rejected by `lease_lost`.
pub struct DeafWhenItTakesOver;

impl Way for DeafWhenItTakesOver {
    async fn held_over<T: Send, F: Future<Output = Result<T, Error>> + Send>(
        plain: &Plain,
        name: &str,
        work: impl FnOnce(i64) -> F + Send,
    ) -> Result<T, Error> {
        DeafToLoss::held(plain, name, work).await
    }
}

/// What had to be undone has failed. Somebody is woken for a customer whose card was declined.
/// Rejected by `ended_long_ago`.
pub struct CompensatedIsNoEnd;

impl Way for CompensatedIsNoEnd {
    fn count(outcome: Outcome, taken: &mut TakenOver) {
        match outcome {
            Outcome::Completed => taken.ended += 1,
            Outcome::Parked => taken.parked += 1,
            Outcome::Compensated => taken.failed += 1,
        }
    }
}

/// The program holds the lease, so each of its calls does. While one drives, another looks for what
/// nobody drives. Rejected by `one_driver`.
pub struct LeaseOfTheProgram;

/// By the driver's own place in memory: each has what is its own.
static HELD: LazyLock<Mutex<HashMap<String, i64>>> = LazyLock::new(Mutex::default);

/// Forgets it, also when the work is dropped.
struct Forgets(String);

impl Drop for Forgets {
    fn drop(&mut self) {
        HELD.lock().expect("nobody panics here").remove(&self.0);
    }
}

impl Way for LeaseOfTheProgram {
    async fn held<T: Send, F: Future<Output = Result<T, Error>> + Send>(
        plain: &Plain,
        name: &str,
        work: impl FnOnce(i64) -> F + Send,
    ) -> Result<T, Error> {
        let here = format!("{plain:p} {name}");
        let held = HELD.lock().expect("nobody panics here").get(&here).copied();
        if let Some(token) = held {
            return work(token).await;
        }
        plain
            .held(name, |token| {
                HELD.lock().expect("nobody panics here").insert(here.clone(), token);
                let (forgets, working) = (Forgets(here), work(token));
                async move {
                    let done = working.await;
                    drop(forgets);
                    done
                }
            })
            .await
    }
}

/// What it wants to write stands there: so it was written, and the answer was lost. It was another who
/// has written it, and drives; from here on there are two. Rejected by `late_echo`.
pub struct SameWordsAreMine;

impl Way for SameWordsAreMine {
    async fn append(
        plain: &Plain,
        at: Place<'_>,
        position: usize,
        entry: &Entry,
        stands: Option<Outcome>,
    ) -> Result<(), Error> {
        let answer = plain.append(at, position, entry, stands).await;
        if let Err(Error::Journal(journal::Error::Fenced { .. })) = answer
            && plain.entries(at).await?.get(position) == Some(entry)
        {
            return Ok(());
        }
        answer
    }
}

/// One lock around the driver: then no two of its calls come into each other's way. Nor does the
/// second order of the day, while the first one waits for its bank. Rejected by `long_step`.
pub struct DrivesOneAtATime;

static DRIVING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

impl Way for DrivesOneAtATime {
    async fn drive<C: Context>(
        plain: &Plain,
        saga: &Saga<C>,
        at: Place<'_>,
        context: Arc<C>,
        entries: Vec<Entry>,
        begun: bool,
    ) -> Result<Outcome, Error> {
        let _alone = DRIVING.lock().await;
        plain.drive::<Self, C>(saga, at, context, entries, begun).await
    }
}

/// One statement for `start`, be it new or not: an upsert. Who begins late takes the saga from whoever
/// has it by now, for an INSERT compares nothing. Rejected by `late_claim`.
pub struct TakesWhatItBegins;

impl Way for TakesWhatItBegins {
    async fn begin(plain: &Plain, at: Place<'_>, context: &str) -> Result<bool, Error> {
        let upsert =
            "INSERT INTO saga (name, id, context, token, claims) VALUES ($1, $2, $3, $4, 1)
                      ON CONFLICT (name, id) DO UPDATE SET token = excluded.token
                      RETURNING claims = 1 AND entries = 0 AND xmax = 0";
        let row = plain.tables.row(upsert, &[&at.saga, &at.id, &context, &at.token]).await?;
        Ok(row.is_some_and(|row| row.get(0)))
    }
}
