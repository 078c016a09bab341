//! Breakers stand before those whom orders asks. What was never sent is not undone, and what could
//! not be undone is not lost.

use std::time::Duration;

use circuit_breakers::circuit_breaker::Config;
use shop_calls::{Calls, Options};
use shop_contracts::Kind;
use shop_contracts::orders::State;
use shop_flags::{Flags, PatternRetry};

use crate::peers::{Step, Trouble};
use crate::world::{LONG, World, address};

/// Opens at the first failure, for this long; no attempts but one.
fn calls(open_for: Duration) -> Calls {
    let flags = Flags::default();
    flags.set(PatternRetry::Off);
    let breaker = Config { failures: 1, open_for, probes: 1, slow_after: LONG };
    Calls::new("orders", flags, Options { breaker, ..Options::default() })
}

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_charge_that_was_never_sent_holds_no_stock() {
    let world = World::new().await.guarded(calls(HOUR)).await;
    world.peers.next(Step::Charge, [Trouble::Refused(Kind::Unavailable)]);
    // Opens the breaker before payments, and is asked about; there is no such payment.
    world.buy("one").await.expect_err("given up");
    let refunds = world.peers.asked(Step::Refund);

    let told = world.buy("two").await.expect_err("not asked");
    assert!(told.is(Kind::Unavailable), "{told}");
    assert!(told.retry_after.is_some_and(|seconds| seconds > 3000), "{told:?}");
    let detail = told.detail.clone().expect("words");
    assert!(detail.contains("no payment was asked for"), "{detail}");
    let orders = world.client.orders(world.customer).await.expect("orders");
    let order = orders.iter().find(|order| told.instance == address(order)).expect("it is there");
    assert_eq!(order.state, State::Cancelled, "at once, and with nothing left to do");
    assert_eq!((world.peers.kept(), world.peers.held()), (0, 0));
    assert_eq!((world.peers.asked(Step::Charge), world.peers.asked(Step::Refund)), (1, refunds));
    let again = world.buy("two").await.expect_err("the same wish");
    assert_eq!((again.detail, again.status), (told.detail, told.status));
}

#[tokio::test]
async fn stock_that_was_never_asked_for_is_not_given_back() {
    let world = World::new().await.guarded(calls(HOUR)).await;
    world.peers.next(Step::Reserve, [Trouble::Refused(Kind::Unavailable)]);
    world.buy("one").await.expect_err("given up");

    let told = world.buy("two").await.expect_err("not asked");
    assert!(told.is(Kind::Unavailable) && told.retry_after.is_some(), "{told:?}");
    let orders = world.client.orders(world.customer).await.expect("orders");
    let order = orders.iter().find(|order| told.instance == address(order)).expect("it is there");
    assert_eq!(order.state, State::Rejected);
    let played = world.peers.look();
    assert!(!played.reservations.contains_key(&order.id), "nobody was asked to release it");
    assert!(!played.payments.contains_key(&order.id), "nor to give money back");
}

#[tokio::test]
async fn a_refund_that_meets_an_open_breaker_is_made_up_for() {
    let world = World::with(LONG, LONG).await.guarded(calls(Duration::from_millis(100))).await;
    // Charged, the answer lost; and nobody says what became of it. The breaker is open now.
    world.peers.next(Step::Charge, [Trouble::AnswerLost]);
    world.peers.always(Step::AskPayment, Trouble::Refused(Kind::Unavailable));
    world.peers.always(Step::Refund, Trouble::Refused(Kind::Unavailable));
    let told = world.buy("one").await.expect_err("given up");
    assert!(told.is(Kind::Unavailable), "{told}");
    assert_eq!(world.only().await.state, State::Cancelling);
    assert_eq!(world.peers.kept(), 950, "the customer has paid");
    world.peers.calm();
    // Long before the order is old.
    world.only_when(State::Cancelled).await;
    assert_eq!((world.peers.kept(), world.peers.held()), (0, 0));
}
