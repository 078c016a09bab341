//! Mistakes about the step that somebody else may have begun.

use super::*;
use sagas::saga::Run;

/// Asks, as it should, and "no" means that it was not begun. It was asked while the call was on its
/// way, which lands, and is paid for by a customer whose order is taken back. Rejected by
/// `refused_when_resumed`.
pub struct BelievesTheNo;

impl Way for BelievesTheNo {
    async fn drive<C: Context>(
        plain: &Plain,
        saga: &Saga<C>,
        at: Place<'_>,
        context: Arc<C>,
        entries: Vec<Entry>,
        mut begun: bool,
    ) -> Result<Outcome, Error> {
        if let (true, Next::Act(step)) = (begun, saga.next(&entries)?)
            && let Some(inquiry) = &step.inquiry
        {
            let key = format!("{}/{}/{}", saga.name, step.name, at.id);
            let context = Arc::clone(&context);
            let run = Run { id: at.id.to_owned(), key, attempt: 1, context };
            begun = !matches!(inquiry(run).await, Ok(false));
        }
        plain.drive::<Self, C>(saga, at, context, entries, begun).await
    }
}

/// "It may have been begun" is there for the inquiry; where nobody can be asked it is of no use, is
/// it? Then nobody knows that a refused step may be under way. Rejected by `refused_when_resumed`.
pub struct BegunIfItCanBeAsked;

impl Way for BegunIfItCanBeAsked {
    async fn drive<C: Context>(
        plain: &Plain,
        saga: &Saga<C>,
        at: Place<'_>,
        context: Arc<C>,
        entries: Vec<Entry>,
        begun: bool,
    ) -> Result<Outcome, Error> {
        let can_be_asked = match saga.next(&entries)? {
            Next::Act(step) => step.inquiry.is_some(),
            Next::Compensate(_) | Next::Rest(_) => false,
        };
        plain.drive::<Self, C>(saga, at, context, entries, begun && can_be_asked).await
    }
}

/// `start` is a start: claims are counted anew. Only who takes over thinks of the one before. Rejected
/// by `refused_when_resumed`.
pub struct CountsClaimsAnew;

impl Way for CountsClaimsAnew {
    async fn begin(plain: &Plain, at: Place<'_>, context: &str) -> Result<bool, Error> {
        let begun = plain.begin(at, context).await?;
        if !begun {
            let anew = "UPDATE saga SET claims = 0 WHERE name = $1 AND id = $2 AND token <= $3";
            plain.tables.rows(anew, &[&at.saga, &at.id, &at.token]).await?;
        }
        Ok(begun)
    }
}

/// One word in the journal for what did not work: whether that is known or not, it is refused. Who
/// drives knows better, as long as it lives. Rejected by `refused_when_resumed`.
pub struct UnknownIsRefused;

impl Way for UnknownIsRefused {
    async fn append(
        plain: &Plain,
        at: Place<'_>,
        position: usize,
        entry: &Entry,
        stands: Option<Outcome>,
    ) -> Result<(), Error> {
        let entry = match entry.clone() {
            Entry::Unknown { step, reason } => Entry::Refused { step, reason },
            entry => entry,
        };
        plain.append(at, position, &entry, stands).await
    }
}

/// Tries the entry again where the journal's answer was lost, at the next free place: which that is,
/// the database knows best. The entry was in, and now it is in twice. Rejected by `lost_replies`.
pub struct AppendsAgain;

impl Way for AppendsAgain {
    async fn append(
        plain: &Plain,
        at: Place<'_>,
        _: usize,
        entry: &Entry,
        stands: Option<Outcome>,
    ) -> Result<(), Error> {
        let append = "WITH fenced AS (
                        UPDATE saga SET token = $3, entries = entries + 1, outcome = $5
                        WHERE name = $1 AND id = $2 AND token <= $3 RETURNING entries)
                      INSERT INTO saga_entry (name, id, position, token, entry)
                      SELECT $1, $2, entries - 1, $3, $4 FROM fenced RETURNING position";
        let (text, word) = (text(entry), stands.map(Outcome::word));
        let mut attempt = 1;
        loop {
            match plain.tables.row(append, &[&at.saga, &at.id, &at.token, &text, &word]).await {
                Ok(row) => return row.map(drop).ok_or_else(|| fenced(at)),
                Err(error) if attempt == 3 => return Err(error.into()),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
            attempt += 1;
        }
    }
}

/// The entry first, and then how the saga stands; whoever finds one without the other mends it. Until
/// then whoever reads the journal is told that there is something to do. Rejected by
/// `killed_at_a_statement`.
pub struct OutcomeBehindTheEntry;

impl Way for OutcomeBehindTheEntry {
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
