//! The checkout as a saga: answered at once, and brought to its end whatever dies.

use std::time::Duration;

use serde_json::json;
use shop_contracts::id::CustomerId;
use shop_contracts::orders::{Order, Place, State};
use shop_contracts::payments;
use shop_contracts::{Kind, Problem};
use shop_flags::Flags;
use tokio::time::timeout;

use crate::peers::{Gate, Step, Trouble};
use crate::world::{LONG, World, address};

fn asynchronous() -> Flags {
    switched(&json!({"pattern.async": {"defaultVariant": "on"}}))
}

fn switched(flags: &serde_json::Value) -> Flags {
    Flags::from_json(json!({ "flags": flags }).to_string()).expect("known")
}

async fn world() -> World {
    World::new().await.switched(asynchronous()).await
}

fn refused(answer: Result<Order, Problem>, kind: Kind) -> Problem {
    let problem = answer.expect_err("a refusal");
    assert!(problem.is(kind), "{kind:?} was expected, not {problem:?}");
    problem
}

/// How the order came to its end, and what is left of it elsewhere.
async fn ends(world: &World, state: State, kept: i64) -> Order {
    let order = world.only_when(state).await;
    assert_eq!((world.peers.kept(), world.peers.held()), (kept, 0), "{order:?}");
    order
}

#[tokio::test]
async fn it_is_answered_at_once_and_confirmed_behind_the_customers_back() {
    let world = world().await;
    let gate = Gate::new();
    world.peers.next(Step::Reserve, [Trouble::Before(gate.clone())]);
    let placed = world.buy("one").await.expect("an answer while nothing is done yet");
    assert_eq!((placed.state, placed.total.amount), (State::Pending, 950));
    gate.meet().await;
    // Said again meanwhile, it is the same order, as it stands.
    let again = world.buy("one").await.expect("the same");
    assert_eq!((again.id, again.state), (placed.id, State::Pending));
    gate.meet().await;
    let order = ends(&world, State::Confirmed, 950).await;
    assert_eq!(order.id, placed.id);
    let took = order.took;
    for step in [took.reserving, took.paying, took.confirmed] {
        assert!(step.expect("it is known") > 0, "{took:?}");
    }
    let said_again = world.buy("one").await.expect("the same order");
    assert_eq!(said_again, order);
    timeout(LONG, async {
        while !world.cart().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("the cart is emptied");
    for step in [Step::Reserve, Step::Charge, Step::Commit] {
        assert_eq!(world.peers.asked(step), 1, "{step:?}");
    }
    assert_eq!(world.peers.asked(Step::Notify), 0, "others hear of it from the bus");
}

#[tokio::test]
async fn what_is_sold_out_is_rejected_and_nobody_is_asked_for_money() {
    let world = world().await;
    world.peers.look().stock.insert(world.tea, 1);
    world.buy("one").await.expect("placed");
    let order = ends(&world, State::Rejected, 0).await;
    assert_eq!(order.reason.as_deref(), Some("only 1 left"));
    let told = refused(world.buy("one").await, Kind::OutOfStock);
    assert_eq!(told.instance, address(&order));
    assert_eq!(
        told.detail.as_deref(),
        Some("only 1 left; to order again is a new wish, with a new key")
    );
    assert_eq!((world.peers.asked(Step::Charge), world.peers.asked(Step::Release)), (0, 0));
}

#[tokio::test]
async fn a_declined_card_gives_back_what_was_held_and_nothing_else() {
    let world = world().await;
    world.client.place(&world.wish("one", "tok_declined")).await.expect("placed");
    let order = ends(&world, State::Cancelled, 0).await;
    assert_eq!(order.reason.as_deref(), Some("the card was declined"));
    let again = world.client.place(&world.wish("one", "tok_declined")).await;
    refused(again, Kind::PaymentDeclined);
    assert_eq!((world.peers.asked(Step::Refund), world.peers.asked(Step::Release)), (0, 1));
    assert_eq!(world.cart().len(), 2, "what was not bought is still wanted");
}

#[tokio::test]
async fn lost_answers_are_asked_about_and_nothing_is_done_twice() {
    for step in [Step::Reserve, Step::Charge, Step::Commit] {
        let world = world().await;
        world.peers.next(step, [Trouble::AnswerLost]);
        world.buy("one").await.expect("placed");
        ends(&world, State::Confirmed, 950).await;
        assert_eq!(world.peers.asked(step), 1, "{step:?}: it was done, and somebody said so");
    }
    for step in [Step::Reserve, Step::Charge, Step::Commit] {
        let world = world().await;
        world.peers.next(step, [Trouble::RequestLost]);
        world.buy("one").await.expect("placed");
        ends(&world, State::Confirmed, 950).await;
        assert_eq!(world.peers.asked(step), 2, "{step:?}: it was not done, and was tried again");
    }
}

#[tokio::test]
async fn a_payment_of_which_nobody_knows_is_ended_and_given_back() {
    let world = world().await;
    world.client.place(&world.wish("one", "tok_pending")).await.expect("placed");
    let order = ends(&world, State::Cancelled, 0).await;
    assert_eq!(world.peers.look().payments[&order.id].0, payments::State::Void);
    let told = refused(world.buy("one").await, Kind::Unavailable);
    assert!(told.detail.expect("why").starts_with("the payment did not come to an end"));
}

#[tokio::test]
async fn a_warehouse_that_holds_nothing_any_more_gets_the_money_back() {
    let world = world().await;
    let gate = Gate::new();
    world.peers.next(Step::Commit, [Trouble::Before(gate.clone())]);
    let placed = world.buy("one").await.expect("placed");
    gate.meet().await;
    assert_eq!(world.peers.kept(), 950);
    world.peers.look().reservations.remove(&placed.id);
    gate.meet().await;
    let order = ends(&world, State::Cancelled, 0).await;
    assert_eq!(world.peers.look().payments[&order.id].0, payments::State::Refunded);
}

#[tokio::test]
async fn what_cannot_be_undone_now_is_undone_when_somebody_is_back() {
    let world = world().await;
    world.peers.always(Step::Release, Trouble::Refused(Kind::Unavailable));
    world.client.place(&world.wish("one", "tok_declined")).await.expect("placed");
    world.only_when(State::Cancelling).await;
    let tending = tokio::spawn(world.orders().await.tend());
    timeout(LONG, async {
        // More often than one go would: it was parked, and tried again.
        while world.peers.asked(Step::Release) < 10 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("it is tried again");
    assert_eq!(world.only().await.state, State::Cancelling);
    world.peers.calm();
    ends(&world, State::Cancelled, 0).await;
    tending.abort();
}

/// The process is killed in this step, before the service was asked or after it has answered; another
/// one takes over.
async fn killed(step: Step, done: bool, card: &str, state: State, kept: i64) {
    let world = world().await;
    let gate = Gate::new();
    let still = if done { Trouble::After } else { Trouble::Before };
    world.peers.next(step, [still(gate.clone())]);
    let instance = world.instance().await;
    instance.client.place(&world.wish("one", card)).await.expect("placed");
    gate.meet().await;
    instance.kill();
    let tending = tokio::spawn(world.orders().await.tend());
    ends(&world, state, kept).await;
    // Nobody is there any more who could hear the late answer.
    gate.meet().await;
    ends(&world, state, kept).await;
    if state == State::Confirmed {
        assert_eq!(world.peers.look().payments.len(), 1);
    }
    tending.abort();
}

#[tokio::test]
async fn killed_while_it_reserves_another_confirms_it() {
    killed(Step::Reserve, false, "tok_ok", State::Confirmed, 950).await;
    killed(Step::Reserve, true, "tok_ok", State::Confirmed, 950).await;
}

#[tokio::test]
async fn killed_while_it_charges_another_confirms_it() {
    killed(Step::Charge, false, "tok_ok", State::Confirmed, 950).await;
    killed(Step::Charge, true, "tok_ok", State::Confirmed, 950).await;
}

#[tokio::test]
async fn killed_while_it_confirms_another_confirms_it() {
    killed(Step::Commit, false, "tok_ok", State::Confirmed, 950).await;
    killed(Step::Commit, true, "tok_ok", State::Confirmed, 950).await;
}

#[tokio::test]
async fn killed_while_it_undoes_another_undoes_it() {
    for done in [false, true] {
        killed(Step::Release, done, "tok_declined", State::Cancelled, 0).await;
        killed(Step::Refund, done, "tok_pending", State::Cancelled, 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_on_one_database_do_each_thing_once() {
    let world = world().await;
    let (one, other) = (world.instance().await, world.instance().await);
    let tending: Vec<_> = [world.orders().await, world.orders().await]
        .into_iter()
        .map(|orders| tokio::spawn(orders.tend()))
        .collect();
    let customers: Vec<_> = (0..20).map(|_| CustomerId::new()).collect();
    for (number, customer) in customers.iter().enumerate() {
        let client = if number % 2 == 0 { &one.client } else { &other.client };
        let cart = world.peers.look().carts[&world.customer].clone();
        world.peers.look().carts.insert(*customer, cart);
        let wish = Place { customer: *customer, ..world.wish("one", "tok_ok") };
        client.place(&wish).await.expect("placed");
    }
    timeout(LONG, async {
        for customer in customers {
            loop {
                let orders = world.client.orders(customer).await.expect("orders");
                assert_eq!(orders.len(), 1);
                if orders[0].state == State::Confirmed {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    })
    .await
    .expect("all are confirmed");
    assert_eq!(world.peers.held(), 0);
    for step in [Step::Reserve, Step::Charge, Step::Commit] {
        assert_eq!(world.peers.asked(step), 20, "{step:?}");
    }
    tending.iter().for_each(tokio::task::JoinHandle::abort);
    one.kill();
    other.kill();
}

#[tokio::test]
async fn without_the_key_each_click_is_an_order() {
    let flags = switched(&json!({
        "pattern.async": {"defaultVariant": "on"}, "pattern.idempotency": {"defaultVariant": "off"},
    }));
    let world = World::new().await.switched(flags).await;
    let gate = Gate::new();
    world.peers.next(Step::Reserve, [Trouble::Before(gate.clone())]);
    let first = world.buy("one").await.expect("placed");
    gate.meet().await;
    let second = world.buy("one").await.expect("placed");
    assert_ne!(first.id, second.id);
    gate.meet().await;
}
