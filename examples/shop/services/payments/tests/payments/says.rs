//! What it says to others: once for each change, and nothing where nothing has changed.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use shop_bus::{Bus, Embedded, Subscription};
use shop_contracts::event::{Event, Type};
use shop_contracts::payments::{Charge, State};
use shop_contracts::{Kind, Money};
use shop_flags::FaultPayment;
use testbed::together;
use tokio::time::timeout;

use crate::world::{World, charge, instance, order};

const QUICK: Duration = Duration::from_millis(20);
const SHORT: Duration = Duration::from_millis(400);
const LONG: Duration = Duration::from_secs(60);
const AUTHORIZED: &str = "payment.authorized.v1";
const DECLINED: &str = "payment.declined.v1";
const REFUNDED: &str = "payment.refunded.v1";

#[tokio::test]
async fn a_charge_and_its_refund_are_said_once_however_often_they_are_asked() {
    let world = World::new(QUICK, LONG).await;
    let (order, charge) = (order(), charge(1290, "tok_ok"));
    let mut reference = None;
    for _ in 0..3 {
        reference = world.client.charge(order, &charge).await.expect("charged").reference;
        world.client.payment(order).await.expect("known");
    }
    assert_eq!(world.kinds(order).await, [AUTHORIZED]);
    for _ in 0..3 {
        world.client.refund(order).await.expect("refunded");
    }
    world.client.charge(order, &charge).await.expect_err("over");
    let said = world.said(order).await;
    let kinds: Vec<_> = said.iter().map(Event::known).collect();
    assert_eq!(kinds, [Ok(Type::PaymentAuthorized), Ok(Type::PaymentRefunded)]);
    for event in said {
        assert_eq!((event.correlation, event.subject), (order, order.to_string()));
        assert_eq!(event.source, "/payments");
        assert_eq!(
            event.data,
            json!({
                "customer": charge.customer, "amount": Money::euros(1290), "reference": reference,
            })
        );
    }
}

#[tokio::test]
async fn a_refusal_is_said_once_for_each_reason() {
    let world = World::new(QUICK, LONG).await;
    let (order, first) = (order(), charge(500, "tok_declined"));
    let with = |card: &str| Charge { card: charge(500, card).card, ..first.clone() };
    for _ in 0..3 {
        let refused = world.client.charge(order, &first).await.expect_err("declined");
        assert!(refused.is(Kind::PaymentDeclined), "{refused}");
    }
    let said = world.said(order).await;
    let [declined] = &said[..] else { panic!("once: {said:?}") };
    assert_eq!(declined.known(), Ok(Type::PaymentDeclined));
    assert_eq!(declined.correlation, order);
    assert_eq!(
        declined.data,
        json!({
            "customer": first.customer,
            "amount": Money::euros(500),
            "reason": "the card was declined",
        })
    );
    world.client.charge(order, &with("tok_expired")).await.expect_err("expired");
    world.client.charge(order, &with("tok_ok")).await.expect("charged");
    assert_eq!(world.kinds(order).await, [DECLINED, DECLINED, AUTHORIZED]);
}

#[tokio::test]
async fn where_nothing_was_charged_nothing_is_said() {
    let world = World::new(QUICK, LONG).await;
    // Ended before it was asked for.
    let never = order();
    for _ in 0..2 {
        assert_eq!(world.client.refund(never).await.expect("over").state, State::Void);
    }
    world.client.charge(never, &charge(1, "tok_ok")).await.expect_err("over");
    assert!(world.said(never).await.is_empty());
    // Refused by a provider that was out of order, and ended.
    let (order, charge) = (order(), charge(1290, "tok_ok"));
    world.flags.set(FaultPayment::Error);
    for _ in 0..2 {
        let problem = world.client.charge(order, &charge).await.expect_err("out of order");
        assert!(problem.is(Kind::Unavailable), "{problem}");
    }
    let dearer = Charge { amount: crate::world::charge(1291, "tok_ok").amount, ..charge };
    world.client.charge(order, &dearer).await.expect_err("another payment");
    assert_eq!(world.client.refund(order).await.expect("over").state, State::Void);
    assert!(world.said(order).await.is_empty());
}

#[tokio::test]
async fn what_is_learned_late_is_said_when_it_is_learned() {
    let world = World::new(QUICK, SHORT).await;
    let order = order();
    world.flags.set(FaultPayment::Hang);
    world.client.charge(order, &charge(1290, "tok_ok")).await.expect_err("a hang");
    assert!(world.said(order).await.is_empty(), "nobody knows");
    for _ in 0..2 {
        world.client.payment(order).await.expect("known");
        assert_eq!(world.kinds(order).await, [AUTHORIZED]);
    }
    world.client.refund(order).await.expect_err("a hang");
    world.client.refund(order).await.expect("the provider was asked");
    assert_eq!(world.kinds(order).await, [AUTHORIZED, REFUNDED]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_that_are_asked_at_once_say_it_once() {
    let world = World::new(QUICK, LONG).await;
    let (other, _stop) = instance(&world.place, &world.provider, &world.flags, LONG).await;
    for card in ["tok_ok", "tok_declined"] {
        let (order, charge) = (order(), charge(100, card));
        let asking = (0..16).map(|task| {
            let client = if task % 2 == 0 { &world.client } else { &other }.clone();
            let charge = charge.clone();
            async move { client.charge(order, &charge).await.is_ok() }
        });
        together(asking).await;
        let said = if card == "tok_ok" { AUTHORIZED } else { DECLINED };
        assert_eq!(world.kinds(order).await, [said]);
        let refunding = (0..16).map(|task| {
            let client = if task % 2 == 0 { &world.client } else { &other }.clone();
            async move { client.refund(order).await.is_ok() }
        });
        together(refunding).await;
        let refunds = world.kinds(order).await.iter().filter(|kind| *kind == REFUNDED).count();
        assert_eq!(refunds, usize::from(card == "tok_ok"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_carried_to_the_bus_and_without_the_outbox_published_at_once() {
    let world = World::new(QUICK, LONG).await;
    let folder = tempfile::tempdir().expect("room");
    let bus: Arc<dyn Bus> = Arc::new(Embedded::open(folder.path()).await.expect("a bus"));
    let mut audit =
        bus.subscribe(Subscription::new("audit", &["payment.#"])).await.expect("a queue");
    let (client, _stop, tending) = world.telling(&bus).await;
    let off = json!({"flags": {"pattern.outbox": {"defaultVariant": "off"}}}).to_string();
    for switched in [false, true] {
        if switched {
            world.flags.merge(&off).expect("known");
        }
        let (good, bad) = (order(), order());
        client.charge(good, &charge(700, "tok_ok")).await.expect("charged");
        client.charge(bad, &charge(700, "tok_expired")).await.expect_err("expired");
        client.refund(good).await.expect("refunded");
        for (kind, about) in [
            (Type::PaymentAuthorized, good),
            (Type::PaymentDeclined, bad),
            (Type::PaymentRefunded, good),
        ] {
            let heard = timeout(LONG, audit.next()).await.expect("soon").expect("a delivery");
            assert_eq!((heard.event.known(), heard.event.correlation), (Ok(kind), about));
            heard.ack().await.expect("answered");
        }
        let kept = if switched { 0 } else { 2 };
        assert_eq!(client.events(good).await.expect("events").len(), kept);
    }
    tending.abort();
}
