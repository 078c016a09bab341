//! The embedded side, and what is its own.

mod suite;

use std::path::Path;
use std::sync::Arc;

use shop_bus::{Bus, Embedded, Error, Reason, Subscription};
use shop_storage::sqlx;
use shop_storage::{Database, Options};
use suite::{PATIENCE, Place, conformance, event, next};
use tokio::time::timeout;

/// A folder, gone when the test is over.
struct Folder(tempfile::TempDir);

impl Place for Folder {
    async fn new() -> Folder {
        Folder(tempfile::tempdir().expect("a folder"))
    }

    fn address(&self) -> String {
        self.0.path().display().to_string()
    }

    async fn open(address: &str) -> Arc<dyn Bus> {
        Arc::new(Embedded::open(Path::new(address)).await.expect("a bus"))
    }
}

conformance!(Folder);

#[tokio::test]
async fn what_is_no_event_is_dead_lettered_and_what_follows_is_delivered() {
    let place = Folder::new().await;
    let bus = place.here().await;
    let mut consumer = bus.subscribe(Subscription::new("audit", &["#"])).await.unwrap();
    let (broken, good) = (event("order.placed.v1"), event("order.placed.v1"));
    bus.publish(&broken).await.unwrap();
    bus.publish(&good).await.unwrap();

    let url = format!("sqlite://{}", place.address());
    let migrated = Database::open(&url, "bus", &[], Options::default()).await;
    // Without the migrations that the file has, it is refused: so it is opened by hand.
    assert!(migrated.is_err());
    let file = format!("sqlite://{}/bus.db", place.address());
    let by_hand = sqlx::AnyPool::connect(&file).await.unwrap();
    sqlx::query("UPDATE messages SET body = '{}' WHERE body LIKE $1")
        .bind(format!("%{}%", broken.id))
        .execute(&by_hand)
        .await
        .unwrap();

    let delivery = next(&mut consumer).await;
    assert_eq!(delivery.event, good);
    delivery.ack().await.unwrap();
    let dead = bus.dead_letters("audit").await.unwrap();
    assert_eq!((dead.len(), dead[0].reason, dead[0].body.as_str()), (1, Reason::Unreadable, "{}"));
    assert!(dead[0].event().unwrap_err().to_string().contains("specversion"));
}

#[tokio::test]
async fn a_place_that_is_none_is_out_of_reach() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let refused = Embedded::open(file.path()).await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
}

#[tokio::test]
async fn after_closing_everything_is_out_of_reach_also_for_those_who_wait() {
    let place = Folder::new().await;
    let bus = Embedded::open(Path::new(&place.address())).await.unwrap();
    let wants = Subscription::new("audit", &["#"]);
    let (mut early, mut late) =
        (bus.subscribe(wants).await.unwrap(), bus.subscribe(wants).await.unwrap());
    let waiting = tokio::spawn(async move { timeout(PATIENCE, early.next()).await });
    bus.close().await;
    let refused = waiting.await.unwrap().expect("told in time");
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    for refused in [bus.publish(&event("order.placed.v1")).await, late.next().await.map(drop)] {
        assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    }
}

#[tokio::test]
async fn nothing_is_left_of_a_consumer_that_was_dropped() {
    let place = Folder::new().await;
    let bus = place.here().await;
    let mut consumer = bus.subscribe(Subscription::new("audit", &["#"])).await.unwrap();
    bus.publish(&event("order.placed.v1")).await.unwrap();
    let delivery = next(&mut consumer).await;
    let holders = || std::fs::read_dir(place.0.path().join("bus.holders")).unwrap().count();
    assert_eq!(holders(), 1);
    drop(consumer);
    assert_eq!(holders(), 1, "its delivery still is in somebody's hands");
    drop(delivery);
    assert_eq!(holders(), 0);
}
