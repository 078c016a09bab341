//! The outbox and the inbox, on a bus that can be away.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use shop_bus::{Bus, Consumer, DeadLetter, Embedded, Error, Soon, Subscription};
use shop_contracts::event::{Event, Type};
use shop_contracts::id::OrderId;
use shop_flags::Flags;
use shop_outbox::{INBOX, Inbox, OUTBOX, Outbox};
use shop_storage::{Database, Migration, Options};
use testbed::place::Place;
use tokio::time::{sleep, timeout};

const LONG: Duration = Duration::from_secs(60);

const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, description: "outbox", sql: OUTBOX },
    Migration { version: 2, description: "inbox", sql: INBOX },
];

async fn database(place: &Place) -> Database {
    let database = Database::open(place.url(), "orders", MIGRATIONS, Options::default());
    database.await.expect("a database")
}

fn event() -> Event {
    let order = OrderId::new();
    Event::new("/orders", Type::OrderPlaced, order, order, json!({}))
}

fn switched(flag: &str, variant: &str) -> Flags {
    let document = json!({"flags": {flag: {"defaultVariant": variant}}});
    Flags::from_json(document.to_string()).expect("known")
}

/// A bus that keeps what it is given, and can be away. Where it is told to, it takes an event and
/// does not say so.
#[derive(Default)]
struct Played {
    heard: Mutex<Vec<Event>>,
    away: AtomicBool,
    silent: AtomicBool,
}

impl Played {
    fn heard(&self) -> Vec<Event> {
        self.heard.lock().expect("no panic").clone()
    }
}

impl Bus for Played {
    fn publish<'a>(&'a self, event: &'a Event) -> Soon<'a, ()> {
        Box::pin(async move {
            if self.away.load(Ordering::SeqCst) {
                return Err(Error::Unavailable("as told".into()));
            }
            self.heard.lock().expect("no panic").push(event.clone());
            if self.silent.swap(false, Ordering::SeqCst) {
                return Err(Error::Unavailable("the confirm is lost".into()));
            }
            Ok(())
        })
    }

    fn subscribe<'a>(&'a self, _: Subscription<'a>) -> Soon<'a, Box<dyn Consumer>> {
        unimplemented!("nobody subscribes here")
    }

    fn dead_letters<'a>(&'a self, _: &'a str) -> Soon<'a, Vec<DeadLetter>> {
        unimplemented!("nothing dies here")
    }

    fn redrive<'a>(&'a self, _: &'a str) -> Soon<'a, u64> {
        unimplemented!("nothing dies here")
    }

    fn depth<'a>(&'a self, _: &'a str) -> Soon<'a, u64> {
        unimplemented!("nobody counts here")
    }
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waited = timeout(LONG, async {
        while !holds() {
            sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("{what}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_committed_is_told_in_its_order_and_what_is_not_is_not() {
    let (place, bus) = (Place::chosen().await, Arc::new(Played::default()));
    let outbox = Outbox::new(database(&place).await, bus.clone(), Flags::default());
    let relay = tokio::spawn(outbox.relay());
    let database = database(&place).await;
    let mut said = Vec::new();
    for number in 0..20 {
        let mut change = database.begin().await.expect("a turn");
        let event = event();
        let after = outbox.add(&mut change, event.clone()).await.expect("added");
        if number % 2 == 0 {
            change.commit().await.expect("committed");
            after.committed().await;
            said.push(event);
        }
    }
    until("all are told", || bus.heard().len() >= said.len()).await;
    assert_eq!(bus.heard(), said);
    relay.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_that_is_away_loses_nothing_and_a_lost_confirm_says_it_again() {
    let (place, bus) = (Place::chosen().await, Arc::new(Played::default()));
    let database = database(&place).await;
    let outbox = Outbox::new(database.clone(), bus.clone(), Flags::default());
    bus.away.store(true, Ordering::SeqCst);
    let relay = tokio::spawn(outbox.relay());
    let said: Vec<_> = (0..3).map(|_| event()).collect();
    for event in &said {
        let mut change = database.begin().await.expect("a turn");
        let after = outbox.add(&mut change, event.clone()).await.expect("added");
        change.commit().await.expect("committed");
        after.committed().await;
    }
    // A relay that dies, and another in its place.
    relay.abort();
    let _ = relay.await;
    bus.silent.store(true, Ordering::SeqCst);
    bus.away.store(false, Ordering::SeqCst);
    let relay = tokio::spawn(outbox.relay());
    until("all are told", || bus.heard().len() >= 4).await;
    let expected = [&said[0], &said[0], &said[1], &said[2]].map(Clone::clone);
    assert_eq!(bus.heard(), expected);
    let of_one = outbox.said(&said[0].correlation.to_string()).await.expect("rows");
    assert_eq!(of_one.len(), 1);
    assert_eq!(of_one[0].event, said[0]);
    assert!(of_one[0].sent_at.is_some());
    relay.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_outbox_what_the_bus_does_not_take_is_lost() {
    let (place, bus) = (Place::chosen().await, Arc::new(Played::default()));
    let database = database(&place).await;
    let flags = switched("pattern.outbox", "off");
    let outbox = Outbox::new(database.clone(), bus.clone(), flags);
    let relay = tokio::spawn(outbox.relay());
    let (lost, told) = (event(), event());
    for (event, away) in [(&lost, true), (&told, false)] {
        bus.away.store(away, Ordering::SeqCst);
        let mut change = database.begin().await.expect("a turn");
        let after = outbox.add(&mut change, event.clone()).await.expect("added");
        assert!(bus.heard().is_empty(), "not before the commit");
        change.commit().await.expect("committed");
        after.committed().await;
    }
    assert_eq!(bus.heard(), [told]);
    assert!(outbox.said(&lost.correlation.to_string()).await.expect("rows").is_empty());
    relay.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn it_goes_over_the_embedded_bus() {
    let place = Place::chosen().await;
    let folder = tempfile::tempdir().expect("room");
    let bus: Arc<dyn Bus> = Arc::new(Embedded::open(folder.path()).await.expect("a bus"));
    let mut consumer =
        bus.subscribe(Subscription::new("audit", &["#"])).await.expect("a subscription");
    let database = database(&place).await;
    let outbox = Outbox::new(database.clone(), bus, Flags::default());
    let relay = tokio::spawn(outbox.relay());
    let event = event();
    let mut change = database.begin().await.expect("a turn");
    let after = outbox.add(&mut change, event.clone()).await.expect("added");
    change.commit().await.expect("committed");
    after.committed().await;
    let delivery = timeout(LONG, consumer.next()).await.expect("soon").expect("a delivery");
    assert_eq!(delivery.event, event);
    delivery.ack().await.expect("answered");
    relay.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_new_once_and_only_if_its_effect_is_committed() {
    let place = Place::chosen().await;
    let database = database(&place).await;
    let (inbox, event) = (Inbox::new("mail", Flags::default()), event());
    let new = async |inbox: &Inbox, commit: bool| {
        let mut change = database.begin().await.expect("a turn");
        let new = inbox.is_new(&mut change, &event).await.expect("an answer");
        if commit {
            change.commit().await.expect("committed");
        }
        new
    };
    assert!(new(&inbox, false).await);
    assert!(new(&inbox, true).await, "what was rolled back was not seen");
    assert!(!new(&inbox, true).await);
    assert!(new(&Inbox::new("audit", Flags::default()), true).await, "another consumer's");
    let off = Inbox::new("mail", switched("pattern.inbox", "off"));
    assert!(new(&off, true).await, "it remembers nothing");
    let mut change = database.begin().await.expect("a turn");
    inbox.sweep(&mut change).await.expect("swept");
    change.commit().await.expect("committed");
    assert!(!new(&inbox, true).await, "it is not a month old");
}
