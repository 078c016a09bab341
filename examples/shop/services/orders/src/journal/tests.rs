//! What the library's own tests ask of its journal on PostgreSQL, asked of this one; on SQLite, and
//! with `TESTBED_STORAGE=postgres` on PostgreSQL.

use std::sync::{Arc, Mutex};

use shop_storage::Options;
use testbed::{place::Place, together};

use super::*;
use crate::MIGRATIONS;

/// Remembers what it saw, and fails where it is told to.
#[derive(Clone, Debug, Default)]
struct Seen {
    followed: Arc<Mutex<Vec<String>>>,
    committed: Arc<Mutex<Vec<String>>>,
    broken: bool,
}

impl Follow for Seen {
    type After = ();

    async fn follow(
        &self,
        _: &mut Transaction<'static, Any>,
        written: Written<'_>,
    ) -> Result<(), shop_storage::Error> {
        assert!(written.since <= written.at);
        self.followed.lock().unwrap().push(format!("{:?}", written.entry));
        if self.broken { Err(sqlx::Error::RowNotFound.into()) } else { Ok(()) }
    }

    async fn committed(&self, written: Written<'_>, (): ()) {
        self.committed.lock().unwrap().push(format!("{:?}", written.entry));
    }
}

async fn journal(place: &Place, seen: &Seen) -> StorageJournal<Seen> {
    let database = Database::open(place.url(), "orders", MIGRATIONS, Options::default());
    StorageJournal::on(database.await.unwrap(), seen.clone())
}

fn done(step: &str) -> Entry {
    Entry::Done { step: step.to_owned() }
}

fn line(position: usize, token: u64) -> Line<'static> {
    Line { saga: "checkout", id: "1", position, token }
}

#[tokio::test]
async fn it_knows_its_own_entry_again_and_nobody_elses() {
    let (place, seen) = (Place::chosen().await, Seen::default());
    let journal = journal(&place, &seen).await;
    assert!(journal.begin("checkout", "1", "{}", 5).await.unwrap());
    assert!(!journal.begin("checkout", "1", "{}", 6).await.unwrap());
    journal.append(line(0, 5), &done("reserve"), None).await.unwrap();
    // Its answer was lost, and so it is written again.
    journal.append(line(0, 5), &done("reserve"), None).await.unwrap();
    assert_eq!(seen.followed.lock().unwrap().len(), 1, "what follows, follows once");
    assert_eq!(seen.committed.lock().unwrap().len(), 1);
    let other = journal.append(line(0, 5), &done("charge"), None).await;
    assert!(matches!(other, Err(Error::Taken { position: 0 })), "{other:?}");
    let gap = journal.append(line(2, 5), &done("charge"), None).await;
    assert!(matches!(gap, Err(Error::Taken { position: 2 })), "{gap:?}");
    let record = journal.claim("checkout", "1", 7).await.unwrap();
    assert_eq!((record.entries, record.stands, record.begun), (vec![done("reserve")], None, true));
    assert_eq!(record.context, "{}");
    let late = journal.append(line(1, 5), &done("charge"), None).await;
    assert!(matches!(late, Err(Error::Fenced { token: 5, newest: 7 })), "{late:?}");
    let late = journal.claim("checkout", "1", 6).await;
    assert!(matches!(late, Err(Error::Fenced { token: 6, newest: 7 })));
    let late = journal.settle("checkout", "1", 6, Outcome::Completed).await;
    assert!(matches!(late, Err(Error::Fenced { .. })));
    assert_eq!(journal.unfinished("checkout", "", 9).await.unwrap(), ["1"]);
    assert!(journal.unfinished("another", "", 9).await.unwrap().is_empty());
    assert!(journal.unfinished("checkout", "1", 9).await.unwrap().is_empty());
    journal.append(line(1, 7), &done("charge"), Some(Outcome::Completed)).await.unwrap();
    assert!(journal.unfinished("checkout", "", 9).await.unwrap().is_empty());
    let record = journal.claim("checkout", "1", 8).await.unwrap();
    assert_eq!(record.stands, Some(Outcome::Completed));
    let nobody = journal.claim("checkout", "2", 1).await;
    assert!(matches!(nobody, Err(Error::NoSuchSaga)));
    let nobody = journal.settle("checkout", "2", 1, Outcome::Completed).await;
    assert!(matches!(nobody, Err(Error::NoSuchSaga)));
}

#[tokio::test]
async fn it_begins_with_the_callers_transaction_or_not_at_all() {
    let (place, seen) = (Place::chosen().await, Seen::default());
    let journal = journal(&place, &seen).await;
    let mut change = journal.database.begin().await.unwrap();
    assert!(StorageJournal::<Seen>::begin_in(&mut change, "checkout", "1", "{}", 0).await.unwrap());
    drop(change);
    assert!(matches!(journal.claim("checkout", "1", 1).await, Err(Error::NoSuchSaga)));
    assert!(journal.begin("checkout", "1", "{}", 0).await.unwrap());
    let record = journal.claim("checkout", "1", 1).await.unwrap();
    assert!(!record.begun, "nobody has driven it before");
    journal.settle("checkout", "1", 1, Outcome::Parked).await.unwrap();
    assert_eq!(journal.parked("checkout", i64::MAX, 9).await.unwrap(), ["1"]);
    assert!(journal.parked("checkout", 0, 9).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_entry_whose_consequence_fails_is_not_written() {
    let (place, broken) = (Place::chosen().await, Seen { broken: true, ..Seen::default() });
    let journal = journal(&place, &broken).await;
    journal.begin("checkout", "1", "{}", 1).await.unwrap();
    let failed = journal.append(line(0, 1), &done("reserve"), None).await;
    assert!(matches!(failed, Err(Error::Failed(_))), "{failed:?}");
    assert!(journal.claim("checkout", "1", 2).await.unwrap().entries.is_empty());
    assert!(broken.committed.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_write_one_line_one_does() {
    let (place, seen) = (Place::chosen().await, Seen::default());
    let journal = journal(&place, &seen).await;
    journal.begin("checkout", "1", "{}", 1).await.unwrap();
    let writing = (0..8).map(|who| {
        let journal = journal.clone();
        async move { journal.append(line(0, 1), &done(&format!("step {who}")), None).await }
    });
    let written = together(writing).await;
    assert_eq!(written.iter().filter(|one| one.is_ok()).count(), 1, "{written:?}");
    let taken = |one: &&Result<(), Error>| matches!(one, Err(Error::Taken { position: 0 }));
    assert_eq!(written.iter().filter(taken).count(), 7, "{written:?}");
    assert_eq!(journal.claim("checkout", "1", 2).await.unwrap().entries.len(), 1);
}
