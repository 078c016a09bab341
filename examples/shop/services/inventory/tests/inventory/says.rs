//! What it says to others: once for each change, and nothing where nothing has changed.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use shop_bus::{Bus, Embedded, Subscription};
use shop_contracts::Kind;
use shop_contracts::event::{Event, Type};
use shop_contracts::id::OrderId;
use shop_flags::PatternLock;
use shop_inventory::Options;
use testbed::together;
use tokio::time::timeout;

use crate::refused;
use crate::world::{World, wanted};

const LONG: Duration = Duration::from_secs(60);
const RESERVED: &str = "stock.reserved.v1";
const RELEASED: &str = "stock.released.v1";

#[tokio::test]
async fn what_is_held_and_released_is_said_once_however_often_it_is_asked() {
    let world = World::new().await;
    let tea = world.delivered(7).await;
    let (order, lines) = (OrderId::new(), wanted([(tea, 2)]));
    for _ in 0..3 {
        world.client.reserve(order, &lines).await.expect("enough");
    }
    assert_eq!(world.kinds(order).await, [RESERVED]);
    for _ in 0..3 {
        world.client.release(order).await.expect("held");
    }
    refused(world.client.reserve(order, &lines).await, Kind::Conflict);
    let said = world.said(order).await;
    let kinds: Vec<_> = said.iter().map(Event::known).collect();
    assert_eq!(kinds, [Ok(Type::StockReserved), Ok(Type::StockReleased)]);
    for event in said {
        assert_eq!((event.correlation, event.subject), (order, order.to_string()));
        assert_eq!(event.source, "/inventory");
        assert_eq!(event.data, json!({"lines": [{"product": tea, "quantity": 2}]}));
    }
}

#[tokio::test]
async fn what_is_sold_is_not_released_and_a_sale_is_the_orders_to_tell() {
    let world = World::new().await;
    let tea = world.delivered(7).await;
    let order = OrderId::new();
    world.client.reserve(order, &wanted([(tea, 2)])).await.expect("enough");
    world.client.commit(order).await.expect("held");
    refused(world.client.release(order).await, Kind::Conflict);
    assert_eq!(world.kinds(order).await, [RESERVED]);
}

#[tokio::test]
async fn a_release_that_comes_first_says_nothing() {
    let world = World::new().await;
    let tea = world.delivered(7).await;
    let order = OrderId::new();
    for _ in 0..2 {
        world.client.release(order).await.expect("over");
    }
    refused(world.client.reserve(order, &wanted([(tea, 2)])).await, Kind::Conflict);
    assert!(world.said(order).await.is_empty());
}

#[tokio::test]
async fn what_was_refused_says_nothing() {
    let world = World::new().await;
    let (tea, milk) = (world.delivered(7).await, world.delivered(1).await);
    let (order, too_many) = (OrderId::new(), wanted([(tea, 2), (milk, 2)]));
    for _ in 0..3 {
        refused(world.client.reserve(order, &too_many).await, Kind::OutOfStock);
    }
    assert_eq!((world.counts(tea).await, world.counts(milk).await), ((7, 0, 0), (1, 0, 0)));
    assert!(world.said(order).await.is_empty());

    // Nothing is left of it: the same order may want less, and what it then wants is held.
    let less = wanted([(tea, 2), (milk, 1)]);
    world.client.reserve(order, &less).await.expect("enough");
    refused(world.client.reserve(order, &too_many).await, Kind::Conflict);
    assert_eq!(world.kinds(order).await, [RESERVED]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_at_once_each_order_says_what_became_of_it() {
    let world = World::new().await;
    let tea = world.delivered(5).await;
    let orders: Vec<_> = (0..8).map(|_| OrderId::new()).collect();
    let asking = (0..32).map(|task| {
        let (client, order) = (world.client.clone(), orders[task % 8]);
        async move { client.reserve(order, &wanted([(tea, 1)])).await.is_ok() }
    });
    together(asking).await;
    let (mut held, mut rejected) = (0, 0);
    for order in &orders {
        match &world.kinds(*order).await[..] {
            [one] if one == RESERVED => held += 1,
            [] => rejected += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((held, rejected), (5, 3));
    let ending = (0..32).map(|task| {
        let (client, order) = (world.client.clone(), orders[task % 8]);
        async move {
            if (task / 8) % 2 == 0 {
                client.commit(order).await.is_ok()
            } else {
                client.release(order).await.is_ok()
            }
        }
    });
    together(ending).await;
    let mut released = 0;
    for order in &orders {
        released += world.kinds(*order).await.iter().filter(|kind| *kind == RELEASED).count();
    }
    let (available, _, sold) = world.counts(tea).await;
    assert_eq!((available + sold, i64::try_from(released)), (5, Ok(available)));
}

/// Whoever refuses: a script in Redis has no transaction at all.
#[tokio::test]
async fn it_is_said_whatever_guards_the_stock() {
    for lock in [
        PatternLock::None,
        PatternLock::Lease,
        PatternLock::Fencing,
        PatternLock::Lua,
        PatternLock::Conditional,
    ] {
        let redis = testbed::redis::private().await.expect("a Redis");
        let world = World::guarded(redis, lock, Options::default()).await;
        let tea = world.delivered(1).await;
        let (first, second) = (OrderId::new(), OrderId::new());
        for _ in 0..2 {
            world.client.reserve(first, &wanted([(tea, 1)])).await.expect("enough");
            refused(world.client.reserve(second, &wanted([(tea, 1)])).await, Kind::OutOfStock);
        }
        world.client.release(first).await.expect("held");
        assert_eq!(world.kinds(first).await, [RESERVED, RELEASED], "{lock:?}");
        assert!(world.said(second).await.is_empty(), "{lock:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_carried_to_the_bus_and_without_the_outbox_published_at_once() {
    let world = World::new().await;
    let folder = tempfile::tempdir().expect("room");
    let bus: Arc<dyn Bus> = Arc::new(Embedded::open(folder.path()).await.expect("a bus"));
    let mut audit = bus.subscribe(Subscription::new("audit", &["stock.#"])).await.expect("a queue");
    let (client, tending) = world.telling(&bus).await;
    let tea = world.delivered(3).await;
    let off = json!({"flags": {"pattern.outbox": {"defaultVariant": "off"}}}).to_string();
    for switched in [false, true] {
        if switched {
            world.flags.merge(&off).expect("known");
        }
        let (order, other) = (OrderId::new(), OrderId::new());
        client.reserve(order, &wanted([(tea, 3)])).await.expect("enough");
        refused(client.reserve(other, &wanted([(tea, 1)])).await, Kind::OutOfStock);
        client.release(order).await.expect("held");
        for (kind, about) in [(Type::StockReserved, order), (Type::StockReleased, order)] {
            let heard = timeout(LONG, audit.next()).await.expect("soon").expect("a delivery");
            assert_eq!((heard.event.known(), heard.event.correlation), (Ok(kind), about));
            heard.ack().await.expect("answered");
        }
        let kept = if switched { 0 } else { 2 };
        assert_eq!(client.events(order).await.expect("events").len(), kept);
    }
    tending.abort();
}
