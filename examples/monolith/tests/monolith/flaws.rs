//! What one transaction cannot take back, because it happened elsewhere. These tests hold the
//! flaws as they are: the shop that follows is measured by them.

use std::time::Duration;

use shop_contracts::Kind;
use testbed::place::Place;

use crate::place::sides;
use crate::shop::Shop;

sides! {
    a_mail_that_fails_takes_the_order_back_and_not_the_charge
    who_hangs_up_after_the_charge_has_paid_for_nothing
}

async fn a_mail_that_fails_takes_the_order_back_and_not_the_charge(place: Place) {
    let shop = Shop::open(place).await;
    let buyer = shop.buyer("bounce@example.org", shop.product(0), 2).await;
    let price = 2 * shop.list.products[0].price;
    let before = shop.books().await;
    for attempt in 1..=3 {
        let refused = buyer.checkout().await.expect_err("no such mailbox");
        assert!(refused.is(Kind::Conflict), "{refused}");
        assert_eq!(shop.books().await, before, "no order, no payment, no stock taken");
        assert_eq!(buyer.orders().await, []);
        assert_eq!(buyer.cart().await.lines.len(), 1, "the cart is full, and invites to try again");
        // Charged, and no order; and at each attempt anew, as each is an order with its own key.
        assert_eq!(shop.unexplained().await, attempt * price);
    }
    assert_eq!(shop.mail.sent(), []);
}

async fn who_hangs_up_after_the_charge_has_paid_for_nothing(place: Place) {
    let shop = Shop::with(place, Duration::from_millis(200), Duration::from_millis(200)).await;
    let product = shop.product(0);
    let impatient = shop.buyer("ada@example.org", product, 1).await;
    let patient = shop.buyer("bob@example.org", product, 1).await;
    let line = impatient.checkout_on_a_line_of_its_own().await;
    shop.charged(1).await;
    drop(line);
    // The rollback gives the locks back, which is when this one's turn comes.
    let order = patient.checkout().await.expect("an order");

    assert_eq!(impatient.orders().await, []);
    assert_eq!(impatient.cart().await.lines.len(), 1);
    assert_eq!(shop.books().await.orders, 1);
    assert_eq!(shop.unexplained().await, shop.list.products[0].price);
    let charges: Vec<_> = shop.provider.books().entries.iter().map(|entry| entry.key).collect();
    assert_eq!((charges.len(), charges[1]), (2, order.id.0));
}
