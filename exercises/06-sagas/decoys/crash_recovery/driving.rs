//! Mistakes in taking over, and in what is made of an error.

use super::*;

/// Takes over a saga whose first driver has died, and leaves alone what has been taken over before:
/// that one has a driver. Rejected by `killed_again`.
pub struct TakesOverOnce;

impl Way for TakesOverOnce {
    async fn list(plain: &Plain, saga: &str) -> Result<Vec<String>, Error> {
        let list = "SELECT id FROM saga WHERE name = $1 AND outcome IS NULL AND claims <= 1";
        plain.list(list, saga).await
    }
}

/// A step that has no entry has not been done. Rejected by `asked_first`.
pub struct NeverAsks;

impl Way for NeverAsks {
    async fn claim(plain: &Plain, at: Place<'_>) -> Result<Found, Error> {
        Ok(Found { begun: false, ..plain.claim(at).await? })
    }
}

/// A journal that does not answer is a step that has failed: the `?` of one is the undoing of the
/// other. The entry was in, and the customer had paid. Rejected by `lost_replies`.
pub struct ErrorIsAFailure;

impl Way for ErrorIsAFailure {
    async fn append(
        plain: &Plain,
        at: Place<'_>,
        position: usize,
        entry: &Entry,
        stands: Option<Outcome>,
    ) -> Result<(), Error> {
        let answer = plain.append(at, position, entry, stands).await;
        if let (Err(Error::Journal(journal::Error::Failed(why))), Entry::Done { step }) =
            (&answer, entry)
        {
            let failed = Entry::Unknown { step: step.clone(), reason: why.to_string() };
            let position = plain.entries(at).await?.len();
            plain.append(at, position, &failed, None).await?;
        }
        answer
    }
}

/// No time limit on what the database says: it is in the same rack. Rejected by `postgres_stalls`.
pub struct WaitsForEver;

impl Way for WaitsForEver {
    fn timeout(_: Options) -> Duration {
        Duration::from_secs(600)
    }
}

/// Where Redis is away it goes on without a lease, for the shop has to go on. So does everybody else.
/// Rejected by `redis_away`.
pub struct GoesOnWithoutRedis;

impl Way for GoesOnWithoutRedis {
    async fn held<T: Send, F: Future<Output = Result<T, Error>> + Send>(
        plain: &Plain,
        name: &str,
        work: impl FnOnce(i64) -> F + Send,
    ) -> Result<T, Error> {
        match plain.leases.acquire(name, Duration::ZERO).await.map_err(no_lease) {
            Ok(lease) => work(lease.token() as i64).await,
            Err(Error::Driven) => Err(Error::Driven),
            Err(_) => work(i64::MAX).await,
        }
    }
}

/// What is parked has not ended, so it is tried again at each start of the program. The person who is
/// to look finds that somebody has. Rejected by `parked`.
pub struct TriesParkedAgain;

impl Way for TriesParkedAgain {
    async fn list(plain: &Plain, saga: &str) -> Result<Vec<String>, Error> {
        let list = "SELECT id FROM saga
                    WHERE name = $1 AND (outcome IS NULL OR outcome = 'parked') ORDER BY id";
        plain.list(list, saga).await
    }

    async fn claim(plain: &Plain, at: Place<'_>) -> Result<Found, Error> {
        let mut found = plain.claim(at).await?;
        if found.outcome == Some(Outcome::Parked) {
            plain.append(at, found.entries.len(), &Entry::Resumed, None).await?;
            found.entries.push(Entry::Resumed);
            found.outcome = None;
        }
        Ok(found)
    }
}

/// Lists all sagas, and looks at each whether it has ended. On the first day there are ten. Rejected
/// by `ended_long_ago`.
pub struct LooksAtAll;

impl Way for LooksAtAll {
    async fn list(plain: &Plain, saga: &str) -> Result<Vec<String>, Error> {
        plain.list("SELECT id FROM saga WHERE name = $1 ORDER BY begun", saga).await
    }
}

/// A `?` in the loop: one saga that cannot be read, and none behind it is ever looked at. Rejected by
/// `unreadable`.
pub struct FirstErrorEndsAll;

impl Way for FirstErrorEndsAll {
    async fn take_over<C: Context>(plain: &Plain, saga: &Saga<C>) -> Result<TakenOver, Error> {
        let mut taken = TakenOver::default();
        for id in Self::list(plain, saga.name).await? {
            let lease = lease_of(saga.name, &id);
            let driven = plain.held(&lease, |token| {
                plain.go_on::<Self, C>(saga, Place { saga: saga.name, id: &id, token })
            });
            match driven.await {
                Err(Error::Driven) => taken.elsewhere += 1,
                driven => match driven? {
                    (Outcome::Parked, _) => taken.parked += 1,
                    _ => taken.ended += 1,
                },
            }
        }
        Ok(taken)
    }
}

/// What cannot be read is put away as parked, so that it is not in the way. Deployed the wrong way
/// round, an old version parks all that the new one has begun. Rejected by `unreadable`.
pub struct GivesUpWhatItCannotRead;

impl Way for GivesUpWhatItCannotRead {
    async fn go_on<C: Context>(
        plain: &Plain,
        saga: &Saga<C>,
        at: Place<'_>,
    ) -> Result<(Outcome, bool), Error> {
        let driven = plain.go_on::<Self, C>(saga, at).await;
        if let Err(Error::Journal(journal::Error::Unreadable(_)) | Error::UnknownStep(_)) = driven {
            plain.settle(at, Outcome::Parked).await?;
        }
        driven
    }
}

/// What was begun once stays begun: `begun` is never taken back. A step that is refused, and that
/// nobody has begun, is undone. Rejected by `only_the_first`.
pub struct BegunForEver;

impl Way for BegunForEver {
    async fn drive<C: Context>(
        plain: &Plain,
        saga: &Saga<C>,
        at: Place<'_>,
        context: Arc<C>,
        mut entries: Vec<Entry>,
        begun: bool,
    ) -> Result<Outcome, Error> {
        let steps = Steps::of(saga, at.id, &context);
        while let ControlFlow::Continue(entry) = steps.next(&entries, begun).await? {
            entries.push(entry);
            let stands = rest(saga, &entries)?;
            let position = entries.len() - 1;
            plain.append(at, position, &entries[position], stands).await?;
        }
        plain.drive::<Self, C>(saga, at, context.clone(), entries, false).await
    }
}

/// A saga without entries has not been begun. It was killed in its first step. Rejected by
/// `asked_first`.
pub struct BegunWhereThereAreEntries;

impl Way for BegunWhereThereAreEntries {
    async fn claim(plain: &Plain, at: Place<'_>) -> Result<Found, Error> {
        let found = plain.claim(at).await?;
        Ok(Found { begun: !found.entries.is_empty(), ..found })
    }
}

/// What is parked has come to an end as well. The figure that should wake somebody stays at zero.
/// Rejected by `parked`.
pub struct CountsParkedAsEnded;

impl Way for CountsParkedAsEnded {
    fn count(_: Outcome, taken: &mut TakenOver) {
        taken.ended += 1;
    }
}

/// A hundred at a time, and the next time the next hundred: that those are the same hundred, which
/// cannot go on, nobody has thought of. Rejected by `unreadable`.
pub struct AHundredAtATime;

impl Way for AHundredAtATime {
    async fn list(plain: &Plain, saga: &str) -> Result<Vec<String>, Error> {
        let list = "SELECT id FROM saga WHERE name = $1 AND outcome IS NULL ORDER BY id LIMIT 100";
        plain.list(list, saga).await
    }
}

/// An `unwrap_or_default` behind the list: where the database is away there is nothing to do. And
/// nobody is told. Rejected by `postgres_away`.
pub struct NothingIfAway;

impl Way for NothingIfAway {
    async fn list(plain: &Plain, saga: &str) -> Result<Vec<String>, Error> {
        let list = "SELECT id FROM saga WHERE name = $1 AND outcome IS NULL ORDER BY id";
        Ok(plain.list(list, saga).await.unwrap_or_default())
    }
}

/// No lease, so another has it. With Redis away, everything is reported to be driven elsewhere.
/// Rejected by `redis_away`.
pub struct AwayIsElsewhere;

impl Way for AwayIsElsewhere {
    async fn held<T: Send, F: Future<Output = Result<T, Error>> + Send>(
        plain: &Plain,
        name: &str,
        work: impl FnOnce(i64) -> F + Send,
    ) -> Result<T, Error> {
        plain.held(name, work).await.map_err(|error| match error {
            Error::Lease(_) => Error::Driven,
            error => error,
        })
    }
}
