//! Who waits for whom, by the order of what happens: the provider books a charge when a buyer has
//! all the locks, and not before.

use std::time::Duration;

use testbed::place::Place;

use crate::place::{sides, waiting};
use crate::shop::{ENDLESS, Shop, until};

const PAYMENT: Duration = Duration::from_millis(200);
const EMAIL: Duration = Duration::from_millis(600);

sides! {
    the_second_buyer_of_a_product_waits_for_the_first
    who_only_looks_does_not_wait
    of_ten_buyers_one_is_charged_and_nine_wait
}

async fn the_second_buyer_of_a_product_waits_for_the_first(place: Place) {
    let shop = Shop::with(place, PAYMENT, EMAIL).await;
    let first = shop.buyer("ada@example.org", shop.product(0), 1).await;
    let second = shop.buyer("bob@example.org", shop.product(0), 1).await;
    let first = tokio::spawn(async move { first.checkout().await });
    shop.charged(1).await;
    let second = tokio::spawn(async move { second.checkout().await });
    shop.charged(2).await;
    assert_eq!(shop.books().await.orders, 1, "the first was done before the second was charged");
    let first = first.await.expect("no panic").expect("an order");
    let second = second.await.expect("no panic").expect("an order");

    // The waiting is in the second's own figures. A tenth of a second is for the two clocks.
    let done = first.placed_at + first.took.confirmed.expect("a time");
    let got = second.placed_at + second.took.reserving.expect("a time");
    assert!(got + 100_000 > done, "{first:?} {second:?}");
    assert_eq!(shop.unexplained().await, 0);
}

async fn who_only_looks_does_not_wait(place: Place) {
    let shop = Shop::with(place, PAYMENT, ENDLESS).await;
    let buyer = shop.buyer("ada@example.org", shop.product(0), 1).await;
    let looker = buyer.clone();
    let _line = buyer.checkout_on_a_line_of_its_own().await;
    shop.charged(1).await;
    assert_eq!(looker.cart().await.lines.len(), 1, "the cart as it is until the commit");
    assert_eq!(looker.orders().await, []);
    let path = format!("/api/products/{}", shop.product(0));
    shop.peer.get::<serde_json::Value>(&path).await.expect("a product");
    assert_eq!(shop.mail.sent(), [], "the checkout is under way all the while");
}

async fn of_ten_buyers_one_is_charged_and_nine_wait(place: Place) {
    let shop = Shop::with(place, PAYMENT, ENDLESS).await;
    let mut lines = Vec::new();
    for number in 0..10 {
        let buyer = shop.buyer(&format!("buyer{number}@example.org"), shop.product(0), 1).await;
        lines.push(buyer);
    }
    let mut held = Vec::new();
    for buyer in &lines {
        held.push(buyer.checkout_on_a_line_of_its_own().await);
    }
    shop.charged(1).await;
    if waiting(&shop.place).await.is_some() {
        until("nine waiting locks", async || waiting(&shop.place).await == Some(9)).await;
    } else {
        // SQLite has no such table. Long enough that another nine could have been charged.
        tokio::time::sleep(3 * PAYMENT).await;
    }
    assert_eq!(shop.provider.books().entries.len(), 1);
    assert_eq!(shop.books().await.orders, 0);
}

/// One writer: to open an account, too, has to wait for a stranger's mail.
#[tokio::test]
async fn on_sqlite_everybody_who_writes_waits() {
    let shop = Shop::with(Place::folder(), PAYMENT, EMAIL).await;
    let buyer = shop.buyer("ada@example.org", shop.product(0), 1).await;
    let begun = tokio::spawn(async move { buyer.checkout().await });
    shop.charged(1).await;
    shop.customer("bob@example.org").await;
    assert_eq!(shop.books().await.orders, 1, "the account came after the order");
    begun.await.expect("no panic").expect("an order");
}

/// Rows, not the whole: who wants other things neither waits nor is waited for.
#[tokio::test]
async fn on_postgresql_buyers_of_different_products_do_not_wait() {
    let shop = Shop::with(Place::postgres().await, PAYMENT, ENDLESS).await;
    let first = shop.buyer("ada@example.org", shop.product(0), 1).await;
    let second = shop.buyer("bob@example.org", shop.product(1), 1).await;
    let _first = first.checkout_on_a_line_of_its_own().await;
    shop.charged(1).await;
    let _second = second.checkout_on_a_line_of_its_own().await;
    shop.charged(2).await;
    shop.customer("eve@example.org").await;
    assert_eq!(waiting(&shop.place).await, Some(0));
    assert_eq!((shop.books().await.orders, shop.mail.sent().len()), (0, 0), "both are under way");
}

/// Whatever order they were put into the cart in: otherwise two buyers of the same two products
/// could each have what the other waits for.
#[tokio::test]
async fn on_postgresql_stock_is_locked_in_the_order_of_the_ids() {
    let shop = Shop::with(Place::postgres().await, PAYMENT, ENDLESS).await;
    let (low, high) = (shop.product(0), shop.product(1));
    let holder = shop.buyer("ada@example.org", low, 1).await;
    let both = shop.buyer("bob@example.org", high, 1).await;
    both.put(low, 1).await.expect("room");
    let other = shop.buyer("eve@example.org", high, 1).await;

    let _holder = holder.checkout_on_a_line_of_its_own().await;
    shop.charged(1).await;
    let _both = both.checkout_on_a_line_of_its_own().await;
    until("a waiting lock", async || waiting(&shop.place).await == Some(1)).await;
    // Who waits for the low one has not taken the high one yet.
    let _other = other.checkout_on_a_line_of_its_own().await;
    shop.charged(2).await;
    assert_eq!(waiting(&shop.place).await, Some(1));
}
