//! What the checks do not ask: the port, a beginning in the caller's own transaction, a person.

use deadpool_postgres::tokio_postgres::{self, NoTls};
use locks::lease::{self, Lease, RedisLease};
use sagas::crash_recovery::{Driver, Error, Options, Recovery};
use sagas::journal::{self, Journal, Line, PgJournal, SCHEMA, Tables};
use sagas::{Entry, Failure, Outcome, Saga, Step};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use testbed::postgres::Postgres;
use testbed::redis::Redis;

const OPTIONS: Options = Options { ttl: Duration::from_secs(30), timeout: Duration::from_secs(10) };

struct Bed {
    postgres: Postgres,
    redis: Redis,
}

impl Bed {
    async fn made() -> Bed {
        let postgres = testbed::postgres::private().await.expect("PostgreSQL");
        let redis = testbed::redis::private().await.expect("Redis");
        Bed { postgres, redis }.furnished().await
    }

    async fn furnished(self) -> Bed {
        self.client().await.batch_execute(SCHEMA).await.expect("tables");
        self
    }

    async fn client(&self) -> tokio_postgres::Client {
        let connecting = tokio_postgres::connect(self.postgres.url(), NoTls).await;
        let (client, connection) = connecting.expect("a connection");
        tokio::spawn(connection);
        client
    }

    fn journal(&self) -> PgJournal {
        PgJournal::on(Tables::open(self.postgres.url(), OPTIONS.timeout).expect("a URL"))
    }

    fn driver(&self) -> Driver<PgJournal, RedisLease> {
        Driver::open(self.postgres.url(), self.redis.url(), OPTIONS).expect("URLs")
    }
}

fn done(step: &str) -> Entry {
    Entry::Done { step: step.to_owned() }
}

fn line(position: usize, token: u64) -> Line<'static> {
    Line { saga: "checkout", id: "1", position, token }
}

#[tokio::test]
async fn a_journal_knows_its_own_entry_again_and_nobody_elses() {
    let bed = Bed::made().await;
    let journal = bed.journal();
    assert!(journal.begin("checkout", "1", "{}", 5).await.unwrap());
    assert!(!journal.begin("checkout", "1", "{}", 6).await.unwrap());
    journal.append(line(0, 5), &done("place"), None).await.unwrap();
    // Its answer was lost, and so it is written again.
    journal.append(line(0, 5), &done("place"), None).await.unwrap();
    let other = journal.append(line(0, 5), &done("reserve"), None).await;
    assert!(matches!(other, Err(journal::Error::Taken { position: 0 })));
    let gap = journal.append(line(2, 5), &done("reserve"), None).await;
    assert!(matches!(gap, Err(journal::Error::Taken { position: 2 })));
    let record = journal.claim("checkout", "1", 7).await.unwrap();
    assert_eq!((record.entries, record.stands, record.begun), (vec![done("place")], None, true));
    let late = journal.append(line(1, 5), &done("reserve"), None).await;
    assert!(matches!(late, Err(journal::Error::Fenced { token: 5, newest: 7 })));
    let late = journal.claim("checkout", "1", 6).await;
    assert!(matches!(late, Err(journal::Error::Fenced { token: 6, newest: 7 })));
    let late = journal.settle("checkout", "1", 6, Outcome::Completed).await;
    assert!(matches!(late, Err(journal::Error::Fenced { .. })));
    assert_eq!(journal.unfinished("checkout", "", 9).await.unwrap(), ["1"]);
    journal.append(line(1, 7), &done("reserve"), Some(Outcome::Completed)).await.unwrap();
    assert!(journal.unfinished("checkout", "", 9).await.unwrap().is_empty());
    let nobody = journal.claim("checkout", "2", 1).await;
    assert!(matches!(nobody, Err(journal::Error::NoSuchSaga)));
}

#[tokio::test]
async fn a_saga_begins_with_the_callers_transaction_or_not_at_all() {
    let bed = Bed::made().await;
    let mut client = bed.client().await;
    let driver = bed.driver();
    let attempts = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&attempts);
    let saga = Saga::<String>::named("checkout").step(Step::new("place", move |run| {
        assert_eq!(*run.context, "Ada");
        counted.fetch_add(1, Ordering::SeqCst);
        async { Ok(()) }
    }));

    let rolled_back = client.transaction().await.unwrap();
    assert!(PgJournal::begin_in(&rolled_back, "checkout", "1", "\"Ada\"").await.unwrap());
    rolled_back.rollback().await.unwrap();
    let none = driver.go_on(&saga, "1").await;
    assert!(matches!(none, Err(Error::Journal(journal::Error::NoSuchSaga))), "{none:?}");

    let committed = client.transaction().await.unwrap();
    assert!(PgJournal::begin_in(&committed, "checkout", "1", "\"Ada\"").await.unwrap());
    assert!(!PgJournal::begin_in(&committed, "checkout", "1", "\"Ada\"").await.unwrap());
    committed.commit().await.unwrap();
    assert_eq!(driver.go_on(&saga, "1").await.unwrap(), Outcome::Completed);
    assert_eq!(driver.go_on(&saga, "1").await.unwrap(), Outcome::Completed);
    assert_eq!(attempts.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_parked_saga_is_tried_again_when_a_person_says_so() {
    let bed = Bed::made().await;
    let driver = bed.driver();
    let closed = Arc::new(AtomicBool::new(true));
    let shut = Arc::clone(&closed);
    let mail = Step::new("mail", move |_| {
        let shut = shut.load(Ordering::SeqCst);
        async move { if shut { Err(Failure::Refused("no such box".to_owned())) } else { Ok(()) } }
    });
    let saga = Saga::<u8>::named("checkout")
        .step(Step::new("charge", async |_| Ok(())).pivot())
        .step(mail);
    assert_eq!(driver.start(&saga, "1", 0).await.unwrap(), Outcome::Parked);
    assert_eq!(driver.go_on(&saga, "1").await.unwrap(), Outcome::Parked);
    closed.store(false, Ordering::SeqCst);
    assert_eq!(driver.resume(&saga, "1").await.unwrap(), Outcome::Completed);
    assert_eq!(driver.resume(&saga, "1").await.unwrap(), Outcome::Completed);
}

#[tokio::test]
async fn a_saga_without_steps_ends_and_what_is_driven_says_so() {
    let bed = Bed::made().await;
    let driver = bed.driver();
    let empty = Saga::<u8>::named("nothing");
    assert_eq!(driver.start(&empty, "1", 0).await.unwrap(), Outcome::Completed);
    assert!(driver.journal().unfinished("nothing", "", 9).await.unwrap().is_empty());

    let options = lease::Options { ttl: OPTIONS.ttl, timeout: OPTIONS.timeout };
    let leases = RedisLease::open(bed.redis.url(), options).unwrap();
    let held = leases.acquire("saga:nothing:2", Duration::ZERO).await.unwrap();
    assert!(matches!(driver.start(&empty, "2", 0).await, Err(Error::Driven)));
    drop(held);
}

#[tokio::test]
async fn a_saga_that_nobody_may_drive_as_yet_has_begun() {
    let bed = Bed::made().await;
    let proxy = testbed::proxy::Proxy::before(bed.redis.url()).await.unwrap();
    let options = Options { timeout: Duration::from_millis(300), ..OPTIONS };
    let driver = Driver::<PgJournal, RedisLease>::open(bed.postgres.url(), proxy.url(), options);
    let driver = driver.unwrap();
    proxy.refuse();
    let saga = Saga::<u8>::named("checkout").step(Step::new("place", async |_| Ok(())));
    assert!(matches!(driver.start(&saga, "1", 0).await, Err(Error::Lease(_))));
    assert_eq!(bed.driver().take_over(&saga).await.unwrap().ended, 1);
}

#[tokio::test]
async fn more_sagas_than_a_page_holds_are_all_taken_over() {
    let bed = Bed::made().await;
    let (driver, journal) = (bed.driver(), bed.journal());
    let saga = Saga::<u8>::named("checkout").step(Step::new("place", async |_| Ok(())));
    for id in 0..130 {
        // Among them some that nobody can read, which stay where they are.
        let context = if id % 10 == 0 { "no number" } else { "7" };
        journal.begin("checkout", &format!("{id:03}"), context, 0).await.unwrap();
    }
    let taken = driver.take_over(&saga).await.unwrap();
    assert_eq!((taken.ended, taken.failed), (117, 13));
}
