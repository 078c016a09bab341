use shop_storage::Options as Storage;
use testbed::{place::Place, together};
use tokio::time::timeout;

use super::*;
use crate::MIGRATIONS;

const LONG: Duration = Duration::from_secs(60);

async fn leases(place: &Place, ttl: Duration) -> Leases {
    let database = Database::open(place.url(), "orders", MIGRATIONS, Storage::default());
    Leases::Storage(StorageLease::on(database.await.unwrap(), ttl))
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_one_holds_it_and_tokens_rise_over_restarts() {
    let place = Place::chosen().await;
    let mut last = 0;
    for _ in 0..3 {
        let leases = leases(&place, LONG).await;
        let asking = (0..6).map(|_| {
            let leases = leases.clone();
            async move { leases.acquire("saga:checkout:1", Duration::ZERO).await }
        });
        let mut held: Vec<_> = together(asking).await.into_iter().filter_map(Result::ok).collect();
        assert_eq!(held.len(), 1);
        let held = held.remove(0);
        assert!(held.token() > last, "{} after {last}", held.token());
        last = held.token();
        let other = leases.acquire("saga:checkout:2", Duration::ZERO).await.expect("another name");
        assert!(other.token() > last);
        last = other.token();
        other.release().await.expect("ours");
        held.release().await.expect("ours");
    }
}

#[tokio::test]
async fn it_ends_by_itself_and_is_extended_by_its_holder_alone() {
    let place = Place::chosen().await;
    let leases = leases(&place, Duration::from_millis(300)).await;
    let first = leases.acquire("a", Duration::ZERO).await.expect("free");
    timeout(LONG, first.lost()).await.expect("it ends");
    let second = leases.acquire("a", LONG).await.expect("free again");
    assert!(second.token() > first.token());
    assert!(matches!(first.extend().await, Err(Error::Lost)));
    assert!(matches!(first.release().await, Err(Error::Lost)));
    let busy = leases.acquire("a", Duration::ZERO).await;
    assert!(matches!(busy, Err(Error::Busy(_))), "the first one gave back nothing of the second's");
}

#[tokio::test]
async fn who_is_dropped_gives_it_back() {
    let place = Place::chosen().await;
    let leases = leases(&place, LONG).await;
    drop(leases.acquire("a", Duration::ZERO).await.expect("free"));
    timeout(LONG, leases.acquire("a", Duration::MAX)).await.expect("soon").expect("free again");
}
