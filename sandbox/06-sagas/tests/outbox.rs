//! What of the outbox the exercise's checks do not ask: the relay, and the upkeep.

use deadpool_postgres::tokio_postgres::{self, Client, NoTls};
use messaging::Message;
use messaging::confirms::{self, NotConfirmed, Publisher};
use sagas::outbox::{Options, Outbox, Pace, PgOutbox, Relay, SCHEMA};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use testbed::postgres::Postgres;

const SOON: Duration = Duration::from_secs(30);

/// A broker that is there, or away.
#[derive(Clone, Default)]
struct Bus {
    arrived: Arc<Mutex<Vec<String>>>,
    away: Arc<Mutex<bool>>,
    tried: Arc<Mutex<u32>>,
}

impl Bus {
    fn arrived(&self) -> Vec<String> {
        self.arrived.lock().expect("nothing panics").clone()
    }

    async fn has(&self, ids: &[&str]) {
        let began = Instant::now();
        while self.arrived() != ids {
            assert!(began.elapsed() < SOON, "{:?} and not {ids:?}", self.arrived());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Publisher for Bus {
    fn open(_: &str, _: confirms::Options) -> Result<Bus, messaging::Error> {
        Ok(Bus::default())
    }

    async fn publish(&self, _: &str, message: &Message) -> Result<(), NotConfirmed> {
        *self.tried.lock().expect("nothing panics") += 1;
        if *self.away.lock().expect("nothing panics") {
            return Err(NotConfirmed::Unknown(messaging::Error::Slow(Duration::ZERO)));
        }
        if message.key == "nobody" {
            return Err(NotConfirmed::Unroutable { key: message.key.clone() });
        }
        self.arrived.lock().expect("nothing panics").push(message.id.clone());
        Ok(())
    }

    async fn publish_all(&self, at: &str, messages: &[Message]) -> Vec<Result<(), NotConfirmed>> {
        let mut told = Vec::new();
        for message in messages {
            told.push(self.publish(at, message).await);
        }
        told
    }
}

/// A broker that never answers.
struct Never;

impl Publisher for Never {
    fn open(_: &str, _: confirms::Options) -> Result<Never, messaging::Error> {
        Ok(Never)
    }

    async fn publish(&self, _: &str, _: &Message) -> Result<(), NotConfirmed> {
        std::future::pending().await
    }

    async fn publish_all(&self, _: &str, _: &[Message]) -> Vec<Result<(), NotConfirmed>> {
        std::future::pending().await
    }
}

async fn furnished() -> (Postgres, Client) {
    let postgres = testbed::postgres::private().await.expect("PostgreSQL is up");
    let (client, connection) =
        tokio_postgres::connect(postgres.url(), NoTls).await.expect("PostgreSQL is up");
    tokio::spawn(connection);
    client.batch_execute(SCHEMA).await.expect("PostgreSQL is up");
    (postgres, client)
}

fn outbox(postgres: &Postgres) -> PgOutbox {
    let (timeout, turn) = (Duration::from_secs(10), Duration::from_secs(30));
    let options = Options { timeout, turn, attempts: 1, pause: Duration::ZERO, batch: 100 };
    PgOutbox::open(postgres.url(), options).expect("PostgreSQL is up")
}

async fn add(client: &mut Client, outbox: &PgOutbox, id: &str, key: &str) {
    let transaction = client.transaction().await.expect("PostgreSQL is up");
    outbox.add(&transaction, &Message::new(id, key, "…")).await.expect("PostgreSQL is up");
    transaction.commit().await.expect("PostgreSQL is up");
}

#[tokio::test]
async fn a_relay_carries_what_comes_and_stops_when_nothing_is_left() {
    let (postgres, mut client) = furnished().await;
    let (outbox, bus) = (outbox(&postgres), Bus::default());
    // It would not look by itself in all this time.
    let pace = Pace { poll: Duration::from_secs(600), longest: Duration::from_secs(600) };
    let relay = Relay::start(outbox.clone(), bus.clone(), "shop", pace);
    add(&mut client, &outbox, "1", "k").await;
    relay.nudge();
    bus.has(&["1"]).await;
    add(&mut client, &outbox, "2", "k").await;
    add(&mut client, &outbox, "3", "k").await;
    assert!(relay.stop(SOON).await);
    assert_eq!(bus.arrived(), ["1", "2", "3"], "what is committed goes out before it ends");
}

#[tokio::test]
async fn a_relay_asks_a_broker_that_is_away_less_and_less_often() {
    let (postgres, mut client) = furnished().await;
    let (outbox, bus) = (outbox(&postgres), Bus::default());
    *bus.away.lock().unwrap() = true;
    add(&mut client, &outbox, "1", "k").await;
    let pace = Pace { poll: Duration::from_millis(20), longest: Duration::from_millis(400) };
    let began = Instant::now();
    let relay = Relay::start(outbox.clone(), bus.clone(), "shop", pace);
    while *bus.tried.lock().unwrap() < 6 {
        assert!(began.elapsed() < SOON, "it has given up");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Pauses of at least half of 40, 80, 160, 320 and 400 ms, however fast the machine is.
    assert!(began.elapsed() >= Duration::from_millis(500), "{:?}", began.elapsed());
    *bus.away.lock().unwrap() = false;
    bus.has(&["1"]).await;
    assert!(relay.stop(SOON).await);
}

#[tokio::test]
async fn what_is_parked_is_shown_and_can_be_resumed() {
    let (postgres, mut client) = furnished().await;
    let (outbox, bus) = (outbox(&postgres), Bus::default());
    add(&mut client, &outbox, "1", "nobody").await;
    add(&mut client, &outbox, "2", "k").await;
    assert_eq!(outbox.forward("shop", &bus).await.unwrap().parked, 1);
    assert_eq!(outbox.forward("shop", &bus).await.unwrap().sent, 1);
    let parked = outbox.parked(10).await.unwrap();
    assert_eq!((&*parked[0].message, &*parked[0].key), ("1", "nobody"));
    assert_eq!(parked[0].reason, "no queue wants `nobody`");
    let backlog = outbox.backlog().await.unwrap();
    assert_eq!((backlog.waiting, backlog.parked), (0, 1));
    client.execute("UPDATE outbox SET key = 'k' WHERE message = '1'", &[]).await.unwrap();
    assert!(outbox.resume("1").await.unwrap());
    assert!(!outbox.resume("1").await.unwrap(), "only what is parked");
    assert_eq!(outbox.backlog().await.unwrap().waiting, 1);
    assert_eq!(outbox.forward("shop", &bus).await.unwrap().sent, 1);
    assert_eq!(bus.arrived(), ["2", "1"]);
}

#[tokio::test]
async fn what_was_sent_is_kept_for_a_time_and_what_was_not_for_ever() {
    let (postgres, mut client) = furnished().await;
    let (outbox, bus) = (outbox(&postgres), Bus::default());
    for (id, key) in [("1", "nobody"), ("2", "k")] {
        add(&mut client, &outbox, id, key).await;
        outbox.forward("shop", &bus).await.unwrap();
    }
    add(&mut client, &outbox, "3", "k").await;
    assert_eq!(outbox.sweep(Duration::from_secs(3_600)).await.unwrap(), 0);
    assert_eq!(outbox.sweep(Duration::ZERO).await.unwrap(), 1);
    let rows = client.query("SELECT message FROM outbox ORDER BY id", &[]).await.unwrap();
    let left: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(left, ["1", "3"]);
}

#[tokio::test]
async fn a_turn_that_waits_for_the_broker_has_no_number_that_others_wait_for() {
    let (postgres, mut client) = furnished().await;
    let outbox = outbox(&postgres);
    add(&mut client, &outbox, "1", "k").await;
    let waiting = outbox.clone();
    let turn = tokio::spawn(async move { waiting.forward("shop", &Never).await });
    let idle = "SELECT backend_xid IS NULL FROM pg_stat_activity
                WHERE state = 'idle in transaction' AND datname = current_database()
                AND query LIKE '%FROM outbox%'";
    let began = Instant::now();
    let row = loop {
        if let Some(row) = client.query_opt(idle, &[]).await.unwrap() {
            break row;
        }
        assert!(began.elapsed() < SOON, "the turn does not begin");
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert!(row.get::<_, bool>(0), "others would wait for it");
    turn.abort();
}
