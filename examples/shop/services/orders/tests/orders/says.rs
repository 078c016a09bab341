//! What the synchronous checkout says: that an order was placed, and what it came to, once each.

use shop_contracts::Kind;
use shop_contracts::orders::{Order, State};

use crate::peers::{Step, Trouble};
use crate::world::World;

const PLACED: &str = "order.placed.v1";
const CONFIRMED: &str = "order.confirmed.v1";
const CANCELLED: &str = "order.cancelled.v1";

/// The events about an order, in their order.
async fn said(world: &World, order: &Order) -> Vec<String> {
    let trace = world.client.trace(&order.id.to_string()).await.expect("a trace");
    assert_eq!(trace.saga, None);
    let events = trace.happened.into_iter().filter(|one| one.what == "event");
    events.map(|event| event.of).collect()
}

#[tokio::test]
async fn a_confirmed_order_is_said_once_however_often_it_is_wished_for() {
    let world = World::new().await;
    let mut order = None;
    for _ in 0..3 {
        order = Some(world.buy("one").await.expect("confirmed"));
    }
    assert_eq!(said(&world, &order.expect("one")).await, [PLACED, CONFIRMED]);
}

#[tokio::test]
async fn an_order_that_comes_to_nothing_is_said_to() {
    let world = World::new().await;
    world.peers.look().stock.insert(world.tea, 1);
    for _ in 0..2 {
        let problem = world.buy("one").await.expect_err("too few");
        assert!(problem.is(Kind::OutOfStock), "{problem}");
    }
    assert_eq!(said(&world, &world.only_when(State::Rejected).await).await, [PLACED, CANCELLED]);

    let world = World::new().await;
    for _ in 0..2 {
        let declined = world.wish("one", "tok_declined");
        let problem = world.client.place(&declined).await.expect_err("declined");
        assert!(problem.is(Kind::PaymentDeclined), "{problem}");
    }
    assert_eq!(said(&world, &world.only_when(State::Cancelled).await).await, [PLACED, CANCELLED]);
}

#[tokio::test]
async fn what_is_not_over_is_not_said_to_be() {
    let world = World::new().await;
    world.peers.always(Step::Commit, Trouble::Refused(Kind::Unavailable));
    world.buy("one").await.expect_err("not confirmed yet");
    let order = world.only_when(State::Paid).await;
    assert_eq!(said(&world, &order).await, [PLACED]);
    world.peers.calm();
    for _ in 0..2 {
        world.orders().await.recover().await.expect("recovered");
    }
    let order = world.only_when(State::Confirmed).await;
    assert_eq!(said(&world, &order).await, [PLACED, CONFIRMED]);
}

#[tokio::test]
async fn a_wish_that_leads_to_no_order_says_nothing() {
    let world = World::new().await;
    let (one, other) = (world.start("one"), world.start("one"));
    let orders = [one, other].map(async |wish| wish.await.expect("no panic").expect("confirmed"));
    for order in orders {
        assert_eq!(said(&world, &order.await).await, [PLACED, CONFIRMED]);
    }
}
