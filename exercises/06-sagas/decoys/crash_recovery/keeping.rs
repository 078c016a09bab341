//! Mistakes in what is kept, and when.

use super::*;
use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

/// `INSERT … ON CONFLICT DO NOTHING`, and never mind what came of it: the customer's second click
/// runs the saga again. Rejected by `start_to_end`.
pub struct RunsItAgain;

impl Way for RunsItAgain {
    async fn begin(plain: &Plain, at: Place<'_>, context: &str) -> Result<bool, Error> {
        let begin = "INSERT INTO saga (name, id, context, token, claims) VALUES ($1, $2, $3, $4, 1)
                     ON CONFLICT (name, id) DO UPDATE SET entries = 0, outcome = NULL";
        plain.tables.rows(begin, &[&at.saga, &at.id, &context, &at.token]).await?;
        let forget = "DELETE FROM saga_entry WHERE name = $1 AND id = $2";
        plain.tables.rows(forget, &[&at.saga, &at.id]).await?;
        Ok(true)
    }
}

/// Collects the entries and writes them when the saga is over, which saves a commit a step. Rejected
/// by `entry_before_next`.
pub struct WritesAtTheEnd;

impl Way for WritesAtTheEnd {
    async fn drive<C: Context>(
        plain: &Plain,
        saga: &Saga<C>,
        at: Place<'_>,
        context: Arc<C>,
        mut entries: Vec<Entry>,
        begun: bool,
    ) -> Result<Outcome, Error> {
        let steps = Steps::of(saga, at.id, &context);
        let kept = entries.len();
        while let ControlFlow::Continue(entry) = steps.next(&entries, begun).await? {
            entries.push(entry);
        }
        let outcome = rest(saga, &entries)?.ok_or(Error::Lost)?;
        for (position, entry) in entries.iter().enumerate().skip(kept) {
            let stands = (position + 1 == entries.len()).then_some(outcome);
            plain.append(at, position, entry, stands).await?;
        }
        Ok(outcome)
    }
}

/// Looks an id up without the saga's name: a return with the id of its order has "already run".
/// Rejected by `two_names`.
pub struct KnownByIdAlone;

impl Way for KnownByIdAlone {
    async fn begin(plain: &Plain, at: Place<'_>, context: &str) -> Result<bool, Error> {
        let known = plain.tables.row("SELECT 1 FROM saga WHERE id = $1", &[&at.id]).await?;
        if known.is_some() {
            return Ok(false);
        }
        plain.begin(at, context).await
    }

    async fn claim(plain: &Plain, at: Place<'_>) -> Result<Found, Error> {
        let name = plain.tables.row("SELECT name FROM saga WHERE id = $1", &[&at.id]).await?;
        let name: String = name.map(|row| row.get(0)).unwrap_or_default();
        plain.claim(Place { saga: &name, ..at }).await
    }
}

/// The entries of each saga that is under way, in memory: the orders are in the database anyway.
/// Rejected by `killed_in_an_action`.
pub struct StateInMemory;

static UNDER_WAY: LazyLock<Mutex<HashMap<String, Vec<Entry>>>> = LazyLock::new(Mutex::default);

impl Way for StateInMemory {
    async fn list(_: &Plain, _: &str) -> Result<Vec<String>, Error> {
        Ok(UNDER_WAY.lock().expect("nobody panics here").keys().cloned().collect())
    }

    async fn append(
        plain: &Plain,
        at: Place<'_>,
        _: usize,
        entry: &Entry,
        stands: Option<Outcome>,
    ) -> Result<(), Error> {
        {
            let mut under_way = UNDER_WAY.lock().expect("nobody panics here");
            under_way.entry(at.id.to_owned()).or_default().push(entry.clone());
            if stands.is_some() {
                under_way.remove(at.id);
            }
        }
        match stands {
            Some(outcome) => plain.settle(at, outcome).await,
            None => Ok(()),
        }
    }
}

/// Knows which sagas have not ended, and drives them anew: every step is idempotent, is it not?
/// Rejected by `killed_in_an_action`.
pub struct ResumesFromTheStart;

impl Way for ResumesFromTheStart {
    async fn claim(plain: &Plain, at: Place<'_>) -> Result<Found, Error> {
        let found = plain.claim(at).await?;
        let again = "WITH one AS (UPDATE saga SET entries = 0 WHERE name = $1 AND id = $2)
                     DELETE FROM saga_entry WHERE name = $1 AND id = $2";
        if found.outcome.is_none() {
            plain.tables.rows(again, &[&at.saga, &at.id]).await?;
        }
        Ok(Found { entries: Vec::new(), ..found })
    }
}

/// Writes an entry, and then does what it says: a log is written ahead, as everybody knows. What was
/// meant there is an intent. Rejected by `killed_in_an_action`.
pub struct EntryBeforeEffect;

impl Way for EntryBeforeEffect {
    async fn drive<C: Context>(
        plain: &Plain,
        saga: &Saga<C>,
        at: Place<'_>,
        context: Arc<C>,
        mut entries: Vec<Entry>,
        begun: bool,
    ) -> Result<Outcome, Error> {
        let steps = Steps::of(saga, at.id, &context);
        loop {
            let Next::Act(step) = saga.next(&entries)? else {
                return plain.drive::<Self, C>(saga, at, context.clone(), entries, begun).await;
            };
            let mut after = entries.clone();
            after.push(Entry::Done { step: step.name.to_owned() });
            let stands = rest(saga, &after)?;
            plain.append(at, entries.len(), &after[entries.len()], stands).await?;
            if let ControlFlow::Continue(entry) = steps.next(&entries, begun).await? {
                entries.push(entry);
            }
            if let Some(outcome) = stands {
                return Ok(outcome);
            }
        }
    }
}

/// Whatever was found unfinished is cancelled: better no order than a wrong one. It was paid for, and
/// nothing was wrong with it. Rejected by `killed_in_an_action`.
pub struct CancelsWhatItFinds;

impl Way for CancelsWhatItFinds {
    async fn claim(plain: &Plain, at: Place<'_>) -> Result<Found, Error> {
        let mut found = plain.claim(at).await?;
        let forward = found.entries.iter().all(|entry| matches!(entry, Entry::Done { .. }));
        if let (true, None, Some(Entry::Done { step })) =
            (forward, found.outcome, found.entries.last())
        {
            let (step, reason) = (step.clone(), "found unfinished".to_owned());
            let entry = Entry::Unknown { step, reason };
            plain.append(at, found.entries.len(), &entry, None).await?;
            found.entries.push(entry);
        }
        Ok(found)
    }
}

/// The last entry, and then the outcome. Who takes over a saga that was killed between the two finds
/// nothing to do, and so does whoever comes after. Rejected by `killed_at_a_statement`.
pub struct OutcomeApart;

impl Way for OutcomeApart {
    async fn drive<C: Context>(
        plain: &Plain,
        saga: &Saga<C>,
        at: Place<'_>,
        context: Arc<C>,
        entries: Vec<Entry>,
        begun: bool,
    ) -> Result<Outcome, Error> {
        if let Some(outcome) = rest(saga, &entries)? {
            return Ok(outcome);
        }
        plain.drive::<Self, C>(saga, at, context, entries, begun).await
    }

    async fn append(
        plain: &Plain,
        at: Place<'_>,
        position: usize,
        entry: &Entry,
        stands: Option<Outcome>,
    ) -> Result<(), Error> {
        plain.append(at, position, entry, None).await?;
        match stands {
            Some(outcome) => plain.settle(at, outcome).await,
            None => Ok(()),
        }
    }
}

/// Counts the entry in the saga's row, and then writes it. Killed between the two, there is a hole
/// into which nobody's next entry fits. Rejected by `killed_at_a_statement`.
pub struct EntryInTwoSteps;

impl Way for EntryInTwoSteps {
    async fn append(
        plain: &Plain,
        at: Place<'_>,
        position: usize,
        entry: &Entry,
        stands: Option<Outcome>,
    ) -> Result<(), Error> {
        let count = "UPDATE saga SET token = $4, entries = $3 + 1, outcome = $5
                     WHERE name = $1 AND id = $2 AND token <= $4 AND entries = $3 RETURNING id";
        let (position, word) = (position as i32, stands.map(Outcome::word));
        let row = plain.tables.row(count, &[&at.saga, &at.id, &position, &at.token, &word]).await?;
        row.ok_or_else(|| fenced(at))?;
        let write = "INSERT INTO saga_entry (name, id, position, token, entry)
                     VALUES ($1, $2, $3, $4, $5)";
        let text = text(entry);
        plain.tables.rows(write, &[&at.saga, &at.id, &position, &at.token, &text]).await?;
        Ok(())
    }
}

/// Reads which steps are done, and goes on behind the last. A saga that was on its way back goes
/// forward again, over what it has undone. Rejected by `killed_undoing`.
pub struct OnlyDoneCounts;

impl Way for OnlyDoneCounts {
    async fn claim(plain: &Plain, at: Place<'_>) -> Result<Found, Error> {
        let mut found = plain.claim(at).await?;
        if found.outcome.is_none() {
            found.entries.retain(|entry| matches!(entry, Entry::Done { .. }));
        }
        Ok(found)
    }

    async fn append(
        plain: &Plain,
        at: Place<'_>,
        _: usize,
        entry: &Entry,
        stands: Option<Outcome>,
    ) -> Result<(), Error> {
        let position = plain.entries(at).await?.len();
        plain.append(at, position, entry, stands).await
    }
}

/// Entries that cannot be read are skipped: a `filter_map(Result::ok)`. What they tell of is done
/// again. Rejected by `unreadable`.
pub struct SkipsWhatItCannotRead;

impl Way for SkipsWhatItCannotRead {
    async fn claim(plain: &Plain, at: Place<'_>) -> Result<Found, Error> {
        let unreadable = "SELECT position FROM saga_entry
                          WHERE name = $1 AND id = $2 AND entry NOT SIMILAR TO $3";
        let known = "%\"entry\":\"(done|refused|unknown|undone|parked|resumed)\"%";
        let rows = plain.tables.rows(unreadable, &[&at.saga, &at.id, &known]).await?;
        if rows.is_empty() {
            return plain.claim(at).await;
        }
        let context = "SELECT context FROM saga WHERE name = $1 AND id = $2";
        let row = plain.tables.row(context, &[&at.saga, &at.id]).await?;
        let context = row.map(|row| row.get(0)).unwrap_or_default();
        Ok(Found { context, entries: Vec::new(), outcome: None, begun: true })
    }
}

/// Goes on with what the caller has brought, since it is there. The saga was begun with something
/// else. Rejected by `started_again`.
pub struct TakesTheNewContext;

impl Way for TakesTheNewContext {
    async fn begin(plain: &Plain, at: Place<'_>, context: &str) -> Result<bool, Error> {
        let begun = plain.begin(at, context).await?;
        let bring = "UPDATE saga SET context = $3 WHERE name = $1 AND id = $2";
        plain.tables.rows(bring, &[&at.saga, &at.id, &context]).await?;
        Ok(begun)
    }
}

/// A saga that has begun is left to whoever takes over, and the caller is told that it is driven.
/// Rejected by `started_again`.
pub struct LeavesItToOthers;

impl Way for LeavesItToOthers {
    async fn begin(plain: &Plain, at: Place<'_>, context: &str) -> Result<bool, Error> {
        let begun = plain.begin(at, context).await?;
        let stands = "SELECT outcome FROM saga WHERE name = $1 AND id = $2";
        let row = plain.tables.row(stands, &[&at.saga, &at.id]).await?;
        let outcome: Option<String> = row.and_then(|row| row.get(0));
        if begun || outcome.is_some() { Ok(begun) } else { Err(Error::Driven) }
    }
}
