//! The provider hangs, is out of order, or answers somebody who is gone. Whatever happens, who
//! asks afterwards learns the truth, and nobody is charged twice.

use std::sync::Arc;
use std::time::Duration;

use crate::world::{World, charge, instance, order};
use shop_contracts::payments::{Books, Client, State};
use shop_contracts::{Kind, Peer};
use shop_flags::FaultPayment;
use testbed::together;
use tokio::sync::Barrier;
use tokio::time::{sleep, timeout};

const QUICK: Duration = Duration::from_millis(20);
const SHORT: Duration = Duration::from_millis(400);
const LONG: Duration = Duration::from_secs(60);

/// Waits until the books are so. They do not ask the provider about a payment, so this does not
/// bring about what it waits for.
async fn books(client: &Client, are: impl Fn(&Books) -> bool) {
    let look = async {
        while !are(&client.books().await.expect("books")) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LONG, look).await.expect("the books are so at last");
}

#[tokio::test]
async fn a_charge_without_an_answer_is_pending_until_somebody_asks() {
    let world = World::new(QUICK, SHORT).await;
    let order = order();
    world.flags.set(FaultPayment::Hang);
    let problem = world.client.charge(order, &charge(1290, "tok_ok")).await.expect_err("a hang");
    assert!(problem.is(Kind::TimedOut), "{problem}");
    let pending = world.client.books().await.expect("books");
    assert_eq!((pending.pending, pending.charged, pending.at_provider), (1, 0, 1290));

    let payment = world.client.payment(order).await.expect("known");
    assert_eq!(payment.state, State::Charged, "the provider was asked");
    assert!(payment.reference.is_some());
    let charged = world.client.books().await.expect("books");
    assert_eq!((charged.pending, charged.charged, charged.at_provider), (0, 1290, 1290));
}

#[tokio::test]
async fn a_charge_without_an_answer_may_be_asked_again() {
    let world = World::new(QUICK, SHORT).await;
    let (order, charge) = (order(), charge(1290, "tok_ok"));
    world.flags.set(FaultPayment::Hang);
    world.client.charge(order, &charge).await.expect_err("a hang");
    // The provider still hangs, and still can be asked what it booked.
    let payment = world.client.charge(order, &charge).await.expect("charged");
    assert_eq!(payment.state, State::Charged);
    assert_eq!(world.provider.books().entries.len(), 1);
}

#[tokio::test]
async fn a_charge_that_never_arrived_is_made_when_asked_again() {
    // Given up before the provider has booked anything.
    let world = World::new(Duration::from_secs(1), Duration::from_millis(300)).await;
    let (order, charge) = (order(), charge(1290, "tok_ok"));
    let problem = world.client.charge(order, &charge).await.expect_err("too slow");
    assert!(problem.is(Kind::TimedOut), "{problem}");
    assert_eq!(world.client.payment(order).await.expect("known").state, State::Pending);
    assert_eq!(world.provider.books().entries, []);

    let (patient, _stop) = instance(&world.place, &world.provider, &world.flags, LONG).await;
    let payment = patient.charge(order, &charge).await.expect("charged");
    assert_eq!(payment.state, State::Charged);
    assert_eq!(world.provider.books().charged(), 1290);
}

#[tokio::test]
async fn a_charge_without_an_answer_can_be_given_back() {
    let world = World::new(QUICK, SHORT).await;
    let order = order();
    world.flags.set(FaultPayment::Hang);
    world.client.charge(order, &charge(1290, "tok_ok")).await.expect_err("a hang");
    let problem = world.client.refund(order).await.expect_err("the refund hangs, too");
    assert!(problem.is(Kind::TimedOut), "{problem}");
    // It was carried out all the same, and asked again we learn it.
    assert_eq!(world.client.refund(order).await.expect("over").state, State::Refunded);
    assert_eq!(world.provider.books().kept(), 0);
    assert_eq!(world.client.books().await.expect("books").refunded, 1290);
}

#[tokio::test]
async fn a_provider_out_of_order_charges_nothing_and_can_be_asked_later() {
    let world = World::new(QUICK, LONG).await;
    let (first, second, charge) = (order(), order(), charge(1290, "tok_ok"));
    world.flags.set(FaultPayment::Error);
    for order in [first, second] {
        let problem = world.client.charge(order, &charge).await.expect_err("out of order");
        assert!(problem.is(Kind::Unavailable), "{problem}");
    }
    // What was never booked can be ended without the provider's help.
    assert_eq!(world.client.refund(second).await.expect("over").state, State::Void);
    world.flags.set(FaultPayment::Off);
    let payment = world.client.charge(first, &charge).await.expect("charged");
    assert_eq!(payment.state, State::Charged);
    assert_eq!(world.provider.books().charged(), 1290);
}

#[tokio::test]
async fn a_refund_that_fails_is_still_an_end() {
    let world = World::new(QUICK, LONG).await;
    let (order, charge) = (order(), charge(1290, "tok_ok"));
    world.client.charge(order, &charge).await.expect("charged");
    for fault in [FaultPayment::Error, FaultPayment::Decline] {
        world.flags.set(fault);
        let problem = world.client.refund(order).await.expect_err("not now");
        assert!(problem.is(Kind::Unavailable), "{problem}");
        let problem = world.client.charge(order, &charge).await.expect_err("over");
        assert!(problem.is(Kind::Conflict), "{problem}");
        assert_eq!(world.client.payment(order).await.expect("known").state, State::Charged);
    }
    world.flags.set(FaultPayment::Off);
    assert_eq!(world.client.refund(order).await.expect("over").state, State::Refunded);
    assert_eq!(world.provider.books().kept(), 0);
}

#[tokio::test]
async fn the_weather_is_chosen_by_order() {
    let world = World::new(QUICK, LONG).await;
    let document = r#"{"flags": {"fault.payment": {"targeting":
        {"fractional": [["decline", 50], ["off", 50]]}}}}"#;
    world.flags.merge(document).expect("a document");
    let mut declined = 0;
    for _ in 0..40 {
        let (order, charge) = (order(), charge(5, "tok_ok"));
        let foretold = world.flags.get_for::<FaultPayment>(order) == FaultPayment::Decline;
        for _ in 0..2 {
            let refused = world.client.charge(order, &charge).await.is_err();
            assert_eq!(refused, foretold, "the same order meets the same weather");
        }
        declined += u32::from(foretold);
    }
    assert!((1..40).contains(&declined), "{declined}");
}

#[tokio::test]
async fn the_row_is_there_before_the_provider_is_asked_and_outlives_a_crash() {
    let world = World::new(LONG, LONG).await;
    let (client, order) = (world.client.clone(), order());
    let asking = tokio::spawn(async move { client.charge(order, &charge(1290, "tok_ok")).await });
    books(&world.client, |books| books.pending == 1).await;
    assert_eq!(world.provider.books().entries, [], "it books in half a minute");
    asking.abort();

    // The next start of the program finds the row, whatever the first was about to do.
    let (next, _stop) = instance(&world.place, &world.provider, &world.flags, SHORT).await;
    assert_eq!(next.books().await.expect("books").pending, 1);
}

#[tokio::test]
async fn who_hangs_up_does_not_stop_the_recording() {
    let world = World::new(Duration::from_millis(600), LONG).await;
    let hasty =
        Client(Peer::new("payments", world.client.0.base()).patience(Duration::from_millis(150)));
    let order = order();
    let problem = hasty.charge(order, &charge(1290, "tok_ok")).await.expect_err("hung up");
    assert!(problem.is(Kind::TimedOut), "{problem}");
    books(&world.client, |books| (books.pending, books.charged) == (0, 1290)).await;

    let problem = hasty.refund(order).await.expect_err("hung up");
    assert!(problem.is(Kind::TimedOut), "{problem}");
    books(&world.client, |books| (books.charged, books.refunded) == (0, 1290)).await;
}

#[tokio::test]
async fn many_who_ask_for_the_same_at_once_are_one_charge() {
    let world = World::new(QUICK, LONG).await;
    for round in 0..10 {
        let (order, charge) = (order(), charge(100, "tok_ok"));
        let asking = (0..16).map(|_| {
            let (client, charge) = (world.client.clone(), charge.clone());
            async move { client.charge(order, &charge).await }
        });
        for payment in together(asking).await {
            assert_eq!(payment.expect("charged").state, State::Charged);
        }
        assert_eq!(world.provider.books().entries.len(), round + 1);
    }
}

#[tokio::test]
async fn a_refund_beside_its_charge_leaves_nothing_charged() {
    let world = World::new(QUICK, LONG).await;
    // Two instances: their turns do not know of each other.
    let (other, _stop) = instance(&world.place, &world.provider, &world.flags, LONG).await;
    for round in 0..40 {
        let refunder = if round % 2 == 0 { &world.client } else { &other }.clone();
        let (order, charger) = (order(), world.client.clone());
        let barrier = Arc::new(Barrier::new(2));
        let both = barrier.clone();
        let charging = tokio::spawn(async move {
            both.wait().await;
            charger.charge(order, &charge(100, "tok_ok")).await
        });
        barrier.wait().await;
        sleep(Duration::from_millis(round)).await;
        let over = refunder.refund(order).await.expect("over");
        assert!(matches!(over.state, State::Refunded | State::Void), "{over:?}");
        if let Err(problem) = charging.await.expect("no panic") {
            assert!(problem.is(Kind::Conflict), "{problem}");
        }
        let after = world.client.payment(order).await.expect("known");
        assert!(matches!(after.state, State::Refunded | State::Void), "{after:?}");
        assert_eq!(world.provider.books().kept(), 0, "round {round}");
    }
}

#[tokio::test]
async fn a_charge_that_was_ended_by_another_instance_gives_back_what_it_took() {
    let world = World::new(Duration::from_secs(1), LONG).await;
    let (other, _stop) = instance(&world.place, &world.provider, &world.flags, LONG).await;
    let (order, client) = (order(), world.client.clone());
    let charging = tokio::spawn(async move { client.charge(order, &charge(100, "tok_ok")).await });
    books(&world.client, |books| books.pending == 1).await;
    // By now it is at the provider as a rule, which books in half a second. On a busy machine the
    // refund may come before or after both of these; what is asserted holds for each order.
    sleep(Duration::from_millis(150)).await;
    let over = other.refund(order).await.expect("over");
    assert!(matches!(over.state, State::Refunded | State::Void), "{over:?}");
    if let Err(problem) = charging.await.expect("no panic") {
        assert!(problem.is(Kind::Conflict), "{problem}");
    }
    let provider = world.provider.books();
    let end = if provider.entries.is_empty() { State::Void } else { State::Refunded };
    assert_eq!(world.client.payment(order).await.expect("known").state, end);
    assert_eq!(provider.kept(), 0);
}

#[tokio::test]
async fn a_slow_provider_is_waited_for() {
    let world = World::new(QUICK, LONG).await;
    world.flags.set(FaultPayment::Slow);
    let started = std::time::Instant::now();
    world.client.charge(order(), &charge(100, "tok_ok")).await.expect("charged");
    assert!(started.elapsed() >= Duration::from_secs(2));
}
