//! Mistakes in what is read: which entries, which sagas, and how much of one that has ended.

use super::*;
use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

/// As it should be, with other entries.
async fn with_entries(plain: &Plain, at: Place<'_>, sql: &str) -> Result<Found, Error> {
    let found = plain.claim(at).await?;
    let rows = plain.tables.rows(sql, &[&at.saga, &at.id]).await?;
    let entries = rows.iter().map(|row| read(row.get(0))).collect::<Result<_, Error>>()?;
    Ok(Found { entries, ..found })
}

/// No `ORDER BY`: they come as they were written, on every machine so far. Rejected by `all_entries`.
pub struct AsTheyLie;

impl Way for AsTheyLie {
    async fn claim(plain: &Plain, at: Place<'_>) -> Result<Found, Error> {
        with_entries(plain, at, "SELECT entry FROM saga_entry WHERE name = $1 AND id = $2").await
    }
}

/// Sorts what it has already made text of: the tenth entry comes behind the first. No saga that was
/// tried had as many. Rejected by `all_entries`.
pub struct SortedAsText;

impl Way for SortedAsText {
    async fn claim(plain: &Plain, at: Place<'_>) -> Result<Found, Error> {
        let all =
            "SELECT entry FROM saga_entry WHERE name = $1 AND id = $2 ORDER BY position::text";
        with_entries(plain, at, all).await
    }
}

/// A limit, so that nobody reads a table by mistake. Rejected by `all_entries`.
pub struct TenEntries;

impl Way for TenEntries {
    async fn claim(plain: &Plain, at: Place<'_>) -> Result<Found, Error> {
        let ten = "SELECT entry FROM saga_entry WHERE name = $1 AND id = $2
                   ORDER BY position LIMIT 10";
        let mut found = with_entries(plain, at, ten).await?;
        let wanting = plain.entries(at).await?.len() - found.entries.len();
        // Where it goes on is right; what has happened is not.
        found.entries.extend(vec![Entry::Resumed; wanting]);
        Ok(found)
    }
}

/// The last entry says where the saga is, so it is enough. It does not say whether there is a way
/// back. Rejected by `all_entries`.
pub struct LastEntryOnly;

impl Way for LastEntryOnly {
    async fn drive<C: Context>(
        plain: &Plain,
        saga: &Saga<C>,
        at: Place<'_>,
        context: Arc<C>,
        entries: Vec<Entry>,
        mut begun: bool,
    ) -> Result<Outcome, Error> {
        let steps = Steps::of(saga, at.id, &context);
        let mut position = entries.len();
        let looked_at = |entry: &&Entry| matches!(entry, Entry::Parked { .. } | Entry::Resumed);
        let mut last: Vec<Entry> =
            entries.iter().rev().find(|entry| !looked_at(entry)).cloned().into_iter().collect();
        loop {
            let entry = match steps.next(&last, begun).await? {
                ControlFlow::Continue(entry) => entry,
                ControlFlow::Break(outcome) => {
                    plain.settle(at, outcome).await?;
                    return Ok(outcome);
                }
            };
            last = vec![entry];
            let stands = rest(saga, &last)?;
            plain.append(at, position, &last[0], stands).await?;
            if let Some(outcome) = stands {
                return Ok(outcome);
            }
            (position, begun) = (position + 1, false);
        }
    }
}

/// That it is parked is what counts; what was said is in the program's output. Rejected by
/// `all_entries`.
pub struct ParksWithoutReason;

impl Way for ParksWithoutReason {
    async fn append(
        plain: &Plain,
        at: Place<'_>,
        position: usize,
        entry: &Entry,
        stands: Option<Outcome>,
    ) -> Result<(), Error> {
        let mut entry = entry.clone();
        if let Entry::Parked { reason, .. } = &mut entry {
            reason.clear();
        }
        plain.append(at, position, &entry, stands).await
    }
}

/// Keeps the entries that it has written, and reads none of a saga that it knows: there is a query
/// less. Somebody has written into it meanwhile. Rejected by `parked`.
pub struct KeepsWhatItRead;

/// By the driver's own place in memory: each has what is its own.
static KNOWN: LazyLock<Mutex<HashMap<String, Vec<Entry>>>> = LazyLock::new(Mutex::default);

fn of_this_driver(plain: &Plain, at: Place<'_>) -> String {
    format!("{plain:p} {} {}", at.saga, at.id)
}

impl Way for KeepsWhatItRead {
    async fn claim(plain: &Plain, at: Place<'_>) -> Result<Found, Error> {
        let found = plain.claim(at).await?;
        let mut known = KNOWN.lock().expect("nobody panics here");
        let entries = known.entry(of_this_driver(plain, at)).or_insert(found.entries);
        Ok(Found { entries: entries.clone(), ..found })
    }

    async fn append(
        plain: &Plain,
        at: Place<'_>,
        position: usize,
        entry: &Entry,
        stands: Option<Outcome>,
    ) -> Result<(), Error> {
        plain.append(at, position, entry, stands).await?;
        let mut known = KNOWN.lock().expect("nobody panics here");
        known.entry(of_this_driver(plain, at)).or_default().push(entry.clone());
        Ok(())
    }
}

/// Reads the whole of a saga, and then looks whether it has ended. The customer who asks for an order
/// of last year is told that nobody can read it. Rejected by `ended_long_ago`.
pub struct ContextFirst;

impl Way for ContextFirst {
    async fn go_on<C: Context>(
        plain: &Plain,
        saga: &Saga<C>,
        at: Place<'_>,
    ) -> Result<(Outcome, bool), Error> {
        let found = plain.claim(at).await?;
        let context: Arc<C> = Arc::new(read(&found.context)?);
        if let Some(outcome) = found.outcome {
            return Ok((outcome, false));
        }
        let outcome = plain.drive::<Self, C>(saga, at, context, found.entries, found.begun).await?;
        Ok((outcome, true))
    }
}

/// How it stands follows from the entries, so the column is only an index. It follows for the steps of
/// today. Rejected by `ended_long_ago`.
pub struct EndsByTheEntries;

impl Way for EndsByTheEntries {
    async fn go_on<C: Context>(
        plain: &Plain,
        saga: &Saga<C>,
        at: Place<'_>,
    ) -> Result<(Outcome, bool), Error> {
        let found = plain.claim(at).await?;
        if let Some(outcome) = rest(saga, &found.entries)? {
            if found.outcome.is_none() {
                plain.settle(at, outcome).await?;
            }
            return Ok((outcome, found.outcome.is_none()));
        }
        let context = Arc::new(read(&found.context)?);
        let outcome = plain.drive::<Self, C>(saga, at, context, found.entries, found.begun).await?;
        Ok((outcome, true))
    }
}

/// Where nothing is to be done, nothing is written: the last entry has said it. There was none: the
/// steps behind are no longer in the program, and the saga is found for ever. Rejected by
/// `nothing_left`.
pub struct OutcomeWithTheEntryOnly;

impl Way for OutcomeWithTheEntryOnly {
    async fn drive<C: Context>(
        plain: &Plain,
        saga: &Saga<C>,
        at: Place<'_>,
        context: Arc<C>,
        entries: Vec<Entry>,
        begun: bool,
    ) -> Result<Outcome, Error> {
        match rest(saga, &entries)? {
            Some(outcome) => Ok(outcome),
            None => plain.drive::<Self, C>(saga, at, context, entries, begun).await,
        }
    }
}

/// Lists what was begun since yesterday: what is older, somebody has looked at by now. Rejected by
/// `left_for_long`.
pub struct OfTheLastDay;

impl Way for OfTheLastDay {
    async fn list(plain: &Plain, saga: &str) -> Result<Vec<String>, Error> {
        let list = "SELECT id FROM saga WHERE name = $1 AND outcome IS NULL
                    AND begun > now() - interval '1 day' ORDER BY id";
        plain.list(list, saga).await
    }
}

/// Page after page, with `OFFSET`. What was on the first page has ended by then, so the second begins
/// a page too late, and each other page is passed over. Rejected by `hundreds`.
pub struct PagesByOffset;

impl Way for PagesByOffset {
    async fn take_over<C: Context>(plain: &Plain, saga: &Saga<C>) -> Result<TakenOver, Error> {
        let page = "SELECT id FROM saga WHERE name = $1 AND outcome IS NULL
                    ORDER BY id LIMIT 50 OFFSET $2";
        let mut taken = TakenOver::default();
        for offset in (0_i64..).step_by(50) {
            let rows = plain.tables.rows(page, &[&saga.name, &offset]).await?;
            if rows.is_empty() {
                break;
            }
            for row in rows {
                let id: String = row.get(0);
                let lease = lease_of(saga.name, &id);
                let driven = plain.held(&lease, |token| {
                    plain.go_on::<Self, C>(saga, Place { saga: saga.name, id: &id, token })
                });
                match driven.await {
                    Ok((outcome, true)) => Self::count(outcome, &mut taken),
                    Ok((_, false)) | Err(Error::Driven) => taken.elsewhere += 1,
                    Err(_) => taken.failed += 1,
                }
            }
        }
        Ok(taken)
    }
}

/// A saga that has killed ten drivers is poison, and is listed no more. It was ten deployments, or one
/// bad morning; and nobody hears of it, for it is not parked either. Rejected by `left_for_long`.
pub struct GivesUpAfterTen;

impl Way for GivesUpAfterTen {
    async fn list(plain: &Plain, saga: &str) -> Result<Vec<String>, Error> {
        let list = "SELECT id FROM saga WHERE name = $1 AND outcome IS NULL AND claims < 10
                    ORDER BY id";
        plain.list(list, saga).await
    }
}

/// Puts the id into the statement with `format!`: it is a number, with a word before it. Rejected by
/// `any_id`.
pub struct IdBetweenQuotes;

impl Way for IdBetweenQuotes {
    async fn claim(plain: &Plain, at: Place<'_>) -> Result<Found, Error> {
        let raise = format!("UPDATE saga SET claims = claims WHERE id = '{}'", at.id);
        plain.tables.rows(&raise, &[]).await?;
        plain.claim(at).await
    }

    async fn begin(plain: &Plain, at: Place<'_>, context: &str) -> Result<bool, Error> {
        let look = format!("SELECT 1 FROM saga WHERE name = $1 AND id = '{}'", at.id);
        let known = plain.tables.row(&look, &[&at.saga]).await?;
        if known.is_some() { Ok(false) } else { plain.begin(at, context).await }
    }
}
