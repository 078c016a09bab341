//! The same key is the same wish, however often and however much at once it is said.

use std::time::Duration;

use shop_contracts::orders::{Order, State};
use shop_contracts::{Kind, Problem};
use testbed::together;

use crate::peers::{Gate, Step, Trouble};
use crate::world::{LONG, World, address};

/// Sixteen who say the same wish at once.
async fn many(world: &World, key: &str, card: &str) -> Vec<Result<Order, Problem>> {
    let saying = (0..16).map(|_| {
        let (client, wish) = (world.client.clone(), world.wish(key, card));
        async move { client.place(&wish).await }
    });
    together(saying).await
}

#[tokio::test]
async fn many_who_say_it_at_once_get_one_order() {
    let world = World::new().await;
    for round in 0..10 {
        world.fill(world.tea, "tea", 1, 400);
        let key = format!("round-{round}");
        let mut orders = Vec::new();
        for said in many(&world, &key, "tok_ok").await {
            let order = said.expect("confirmed");
            assert_eq!(order.state, State::Confirmed);
            orders.push(order.id);
        }
        orders.dedup();
        assert_eq!(orders.len(), 1, "round {round}");
        assert_eq!(world.peers.asked(Step::Reserve), round + 1);
        assert_eq!(world.peers.asked(Step::Charge), round + 1);
    }
    assert_eq!(world.client.orders(world.customer).await.expect("orders").len(), 10);
}

#[tokio::test]
async fn many_who_say_it_at_once_are_refused_alike() {
    let world = World::new().await;
    let mut problems = Vec::new();
    for said in many(&world, "one", "tok_declined").await {
        problems.push(said.expect_err("declined"));
    }
    problems.dedup();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].is(Kind::PaymentDeclined));
    assert_eq!(world.peers.asked(Step::Charge), 1);
}

#[tokio::test]
async fn who_says_it_again_waits_for_the_order_that_is_under_way() {
    let world = World::new().await;
    let gate = Gate::new();
    world.peers.next(Step::Charge, [Trouble::Before(gate.clone())]);
    let first = world.start("one");
    gate.meet().await;
    let second = world.start("one");
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!second.is_finished());
    gate.meet().await;
    let first = first.await.expect("no panic").expect("confirmed");
    assert_eq!(second.await.expect("no panic").expect("confirmed").id, first.id);
    assert_eq!(world.peers.asked(Step::Charge), 1);
}

#[tokio::test]
async fn who_has_waited_long_enough_is_shown_the_order() {
    let world = World::with(LONG, Duration::from_millis(100)).await;
    let gate = Gate::new();
    world.peers.next(Step::Charge, [Trouble::Before(gate.clone())]);
    let first = world.start("one");
    gate.meet().await;
    let problem = world.buy("one").await.expect_err("still under way");
    assert!(problem.is(Kind::Conflict), "{problem}");
    assert_eq!(problem.instance, address(&world.only().await));
    gate.meet().await;
    first.await.expect("no panic").expect("confirmed");
    world.buy("one").await.expect("confirmed by now");
}

/// The second has seen no order, and then reads the cart that the first has emptied or is about to.
#[tokio::test]
async fn an_emptied_cart_is_not_taken_for_an_empty_one() {
    for after_reading in [false, true] {
        let world = World::new().await;
        let gate = Gate::new();
        let still = if after_reading { Trouble::After } else { Trouble::Before };
        world.peers.next(Step::Cart, [still(gate.clone())]);
        let second = world.start("one");
        gate.meet().await;
        let first = world.buy("one").await.expect("confirmed");
        assert_eq!(world.cart(), []);
        gate.meet().await;
        assert_eq!(second.await.expect("no panic").expect("the same").id, first.id);
        assert_eq!(world.peers.asked(Step::Charge), 1);
        world.only().await;
    }
}
