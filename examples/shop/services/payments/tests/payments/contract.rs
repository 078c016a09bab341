//! Each row of the contract's table, each refusal, and that asked twice is done once.

use std::time::Duration;

use crate::world::{World, charge, order};
use axum::body::Bytes;
use axum::http::{Method, StatusCode};
use shop_contracts::id::CustomerId;
use shop_contracts::payments::{Charge, State};
use shop_contracts::{Kind, Money};

async fn world() -> World {
    World::new(Duration::from_millis(20), Duration::from_secs(30)).await
}

#[tokio::test]
async fn a_charge_is_booked_once_however_often_it_is_asked() {
    let world = world().await;
    let (order, charge) = (order(), charge(1290, "tok_ok"));
    let first = world.client.charge(order, &charge).await.expect("charged");
    assert_eq!(first.state, State::Charged);
    assert_eq!(first.customer, Some(charge.customer));
    assert_eq!(first.amount, Some(Money::euros(1290)));
    let receipt = world.provider.books().find(order.0).cloned().expect("booked");
    assert_eq!(first.reference, Some(receipt.reference));

    assert_eq!(world.client.charge(order, &charge).await.expect("charged"), first);
    assert_eq!(world.client.payment(order).await.expect("known"), first);
    let other_card = Charge { card: crate::world::charge(1, "tok_declined").card, ..charge };
    assert_eq!(world.client.charge(order, &other_card).await.expect("charged"), first);
    assert_eq!(world.provider.books().entries.len(), 1);
}

#[tokio::test]
async fn a_declined_card_says_why_and_another_one_may_be_tried() {
    let world = world().await;
    for (card, why) in [
        ("tok_declined", "the card was declined"),
        ("tok_insufficient", "the card has insufficient funds"),
        ("tok_expired", "the card has expired"),
        ("tok_stranger", "the provider does not know this card"),
    ] {
        let (order, declined) = (order(), charge(500, card));
        for _ in 0..2 {
            let problem = world.client.charge(order, &declined).await.expect_err(card);
            assert!(problem.is(Kind::PaymentDeclined), "{problem}");
            assert_eq!(problem.status, 402);
            assert_eq!(problem.detail.as_deref(), Some(why));
            let payment = world.client.payment(order).await.expect("known");
            assert_eq!((payment.state, payment.reference), (State::Declined, None));
        }
        let good = Charge { card: charge(500, "tok_ok").card, ..declined };
        let payment = world.client.charge(order, &good).await.expect("a new attempt");
        assert_eq!(payment.state, State::Charged);
    }
    assert_eq!(world.provider.books().entries.len(), 4);
}

#[tokio::test]
async fn another_amount_or_customer_under_the_same_order_is_a_conflict() {
    let world = world().await;
    for card in ["tok_ok", "tok_declined"] {
        let (order, first) = (order(), charge(1290, card));
        let _ = world.client.charge(order, &first).await;
        let dearer = Charge { amount: charge(1291, "tok_ok").amount, ..first.clone() };
        let somebody = Charge { customer: CustomerId::new(), ..first };
        for other in [dearer, somebody] {
            let problem = world.client.charge(order, &other).await.expect_err("another payment");
            assert!(problem.is(Kind::Conflict), "{problem}");
        }
    }
    assert_eq!(world.provider.books().charged(), 1290);
}

#[tokio::test]
async fn a_refund_gives_back_once_and_ends_the_payment() {
    let world = world().await;
    let (order, charge) = (order(), charge(700, "tok_ok"));
    let charged = world.client.charge(order, &charge).await.expect("charged");
    for _ in 0..2 {
        let refunded = world.client.refund(order).await.expect("refunded");
        assert_eq!((refunded.state, &refunded.reference), (State::Refunded, &charged.reference));
    }
    assert_eq!(world.provider.books().refunded(), 700);
    let problem = world.client.charge(order, &charge).await.expect_err("over");
    assert!(problem.is(Kind::Conflict), "{problem}");
    assert_eq!(world.client.payment(order).await.expect("known").state, State::Refunded);
    assert_eq!(world.provider.books().kept(), 0);
}

#[tokio::test]
async fn a_refund_that_comes_before_its_charge_keeps_it_out() {
    let world = world().await;
    let order = order();
    for _ in 0..2 {
        let void = world.client.refund(order).await.expect("over");
        assert_eq!((void.state, void.customer, void.amount), (State::Void, None, None));
    }
    let problem = world.client.charge(order, &charge(700, "tok_ok")).await.expect_err("too late");
    assert!(problem.is(Kind::Conflict), "{problem}");
    assert_eq!(world.client.payment(order).await.expect("known").state, State::Void);
    assert_eq!(world.provider.books().entries, []);
}

#[tokio::test]
async fn a_refund_of_a_declined_payment_allows_no_other_card() {
    let world = world().await;
    let (order, declined) = (order(), charge(700, "tok_expired"));
    world.client.charge(order, &declined).await.expect_err("expired");
    for _ in 0..2 {
        let void = world.client.refund(order).await.expect("over");
        assert_eq!((void.state, void.amount), (State::Void, Some(Money::euros(700))));
    }
    let good = Charge { card: charge(700, "tok_ok").card, ..declined };
    let problem = world.client.charge(order, &good).await.expect_err("too late");
    assert!(problem.is(Kind::Conflict), "{problem}");
    assert_eq!(world.provider.books().entries, []);
}

#[tokio::test]
async fn what_nobody_asked_for_is_not_found() {
    let world = world().await;
    let problem = world.client.payment(order()).await.expect_err("nothing");
    assert!(problem.is(Kind::NotFound), "{problem}");
}

#[tokio::test]
async fn the_books_show_our_side_and_the_providers() {
    let world = world().await;
    for cents in [100, 20, 3] {
        world.client.charge(order(), &charge(cents, "tok_ok")).await.expect("charged");
    }
    let back = order();
    world.client.charge(back, &charge(4000, "tok_ok")).await.expect("charged");
    world.client.refund(back).await.expect("refunded");
    world.client.charge(order(), &charge(9, "tok_declined")).await.expect_err("declined");
    let books = world.client.books().await.expect("books");
    assert_eq!((books.payments, books.charged, books.refunded, books.pending), (3, 123, 4000, 0));
    assert_eq!(books.at_provider, 123);

    // A charge that this service has not made: only one side knows of it.
    let foreign =
        shop_outside::payment::Charge { key: order().0, amount: 5, card: "tok_ok".into() };
    world.provider.charge(&foreign, shop_outside::Weather::Fine).await.expect("charged");
    let books = world.client.books().await.expect("books");
    assert_eq!((books.charged, books.at_provider), (123, 128));
}

#[tokio::test]
async fn what_is_not_a_charge_is_refused() {
    let world = world().await;
    let good = r#"{"customer": "0192aaaa-0000-7000-8000-000000000000",
                   "amount": {"amount": 5, "currency": "EUR"}, "card": "tok_ok"}"#;
    let path = format!("/payments/{}", order());
    let bad = |from: &str, to: &str| (path.clone(), good.replace(from, to));
    let table = [
        (bad("\"amount\": 5", "\"amount\": 0"), 422),
        (bad("\"amount\": 5", "\"amount\": -5"), 422),
        (bad("EUR", "XXX"), 422),
        (bad("0192aaaa", "nobody"), 422),
        (bad("ok\"}", "ok\""), 400),
        (("/payments/nothing".to_owned(), good.to_owned()), 422),
    ];
    for ((path, body), status) in table {
        let answer = world.client.0.forward(Method::PUT, &path, Bytes::from(body.clone()), &[]);
        let answer = answer.await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::from_u16(status).expect("a status"), "{body}");
    }
    let health = world.client.0.forward(Method::GET, "/health", Bytes::new(), &[]).await;
    assert_eq!(health.expect("an answer").status(), StatusCode::OK);
}
