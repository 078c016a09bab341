//! The eleven steps: what they do, and what they refuse.

use std::time::{Duration, Instant};

use shop_contracts::Kind;
use shop_contracts::id::{OrderId, ProductId};
use shop_contracts::orders::{Order, State};
use testbed::place::Place;
use testbed::together;

use crate::place::sides;
use crate::shop::Shop;

sides! {
    a_checkout_is_all_of_it
    an_order_is_its_customers
    an_empty_cart_is_not_checked_out
    what_is_not_there_is_not_sold
    a_card_that_is_refused_changes_nothing
    of_two_clicks_one_buys
    twenty_buyers_of_five_get_five
    with_its_real_latencies_it_takes_three_seconds
    closing_finishes_what_has_begun
}

async fn a_checkout_is_all_of_it(place: Place) {
    let shop = Shop::open(place).await;
    let (tea, milk) = (&shop.list.products[0], &shop.list.products[1]);
    let buyer = shop.buyer("ada@example.org", ProductId(tea.id), 2).await;
    let cart = buyer.put(ProductId(milk.id), 1).await.expect("room");
    let before = shop.books().await;

    let order = buyer.checkout().await.expect("an order");
    assert_eq!((order.customer, order.state), (buyer.id, State::Confirmed));
    assert_eq!((&order.lines, order.total), (&cart.lines, cart.total));
    assert_eq!(order.total.amount, 2 * tea.price + milk.price);
    let took = order.took;
    let steps = [took.reserving, took.paying, took.notifying].map(|took| took.expect("a time"));
    assert!(took.confirmed.expect("a time") >= steps.iter().sum(), "{took:?}");

    assert_eq!(buyer.orders().await, std::slice::from_ref(&order), "as it is stored");
    assert_eq!(buyer.cart().await.lines, []);
    let books = shop.books().await;
    assert_eq!((books.orders, books.units, books.stock), (1, 3, before.stock - 3));
    let charged = shop.provider.books().find(order.id.0).cloned().expect("a charge");
    assert_eq!(charged.amount, order.total.amount);
    let [mail] = &shop.mail.sent()[..] else { panic!("one mail") };
    assert_eq!((mail.to.as_str(), mail.key), ("ada@example.org", order.id.0));
    for part in [&tea.name, &milk.name, &order.total.to_string()] {
        assert!(mail.body.contains(part), "{}", mail.body);
    }
    assert_eq!(shop.unexplained().await, 0);

    buyer.put(ProductId(milk.id), 1).await.expect("room");
    let second = buyer.checkout().await.expect("another order");
    assert_eq!(buyer.orders().await, [second, order], "the latest first");
}

async fn an_order_is_its_customers(place: Place) {
    let shop = Shop::open(place).await;
    let ada = shop.buyer("ada@example.org", shop.product(0), 1).await;
    let bob = shop.customer("bob@example.org").await;
    let order = ada.checkout().await.expect("an order");
    let path = format!("/api/orders/{}", order.id);
    assert_eq!(ada.get::<Order>(&path).await.expect("hers"), order);
    let others = bob.get::<Order>(&path).await.expect_err("not his");
    let nobodys = bob.get::<Order>(&format!("/api/orders/{}", OrderId::new())).await;
    assert!(others.is(Kind::NotFound), "{others}");
    assert!(nobodys.expect_err("nobody's").is(Kind::NotFound));
    assert!(bob.get::<Order>("/api/orders/7").await.expect_err("no id").is(Kind::Invalid));
    assert_eq!(bob.orders().await, []);
}

async fn an_empty_cart_is_not_checked_out(place: Place) {
    let shop = Shop::open(place).await;
    let buyer = shop.customer("ada@example.org").await;
    let refused = buyer.checkout().await.expect_err("nothing to buy");
    assert!(refused.is(Kind::EmptyCart), "{refused}");
}

async fn what_is_not_there_is_not_sold(place: Place) {
    let mut shop = Shop::open(place).await;
    let scarce = with_stock(&mut shop, 1).await;
    let buyer = shop.buyer("ada@example.org", shop.product(0), 1).await;
    buyer.put(scarce, 2).await.expect("a cart is a wish");
    let before = shop.books().await;
    let refused = buyer.checkout().await.expect_err("there is one");
    assert!(refused.is(Kind::OutOfStock), "{refused}");
    assert_eq!(refused.instance, Some(format!("/api/products/{scarce}")));
    assert_eq!(shop.books().await, before);
    assert_eq!(shop.provider.books().entries, []);
    assert_eq!(buyer.cart().await.lines.len(), 2, "the cart is as it was");

    buyer.put(scarce, 1).await.expect("fewer");
    buyer.checkout().await.expect("an order");
    assert_eq!(shop.books().await.lowest, 0);
    assert_eq!(shop.unexplained().await, 0);
}

async fn a_card_that_is_refused_changes_nothing(place: Place) {
    let shop = Shop::open(place).await;
    let buyer = shop.buyer("ada@example.org", shop.product(0), 1).await;
    let before = shop.books().await;
    for card in ["tok_declined", "tok_insufficient", "tok_expired", "mine"] {
        let refused = buyer.checkout_with(card).await.expect_err(card);
        assert!(refused.is(Kind::PaymentDeclined), "{refused}");
    }
    assert_eq!(shop.books().await, before);
    assert_eq!((shop.provider.books().entries.len(), shop.mail.sent().len()), (0, 0));
    buyer.checkout().await.expect("the cart is as it was");
    assert_eq!(shop.unexplained().await, 0);
}

async fn of_two_clicks_one_buys(place: Place) {
    let shop = Shop::open(place).await;
    let buyer = shop.buyer("ada@example.org", shop.product(0), 1).await;
    let clicks = tokio::join!(buyer.checkout(), buyer.checkout());
    let (bought, refused) = match clicks {
        (Ok(order), Err(problem)) | (Err(problem), Ok(order)) => (order, problem),
        both => panic!("{both:?}"),
    };
    assert!(refused.is(Kind::EmptyCart), "{refused}");
    assert_eq!(buyer.orders().await, [bought]);
    assert_eq!(shop.unexplained().await, 0);
}

async fn twenty_buyers_of_five_get_five(place: Place) {
    let mut shop = Shop::open(place).await;
    let scarce = with_stock(&mut shop, 5).await;
    let mut buyers = Vec::new();
    for number in 0..20 {
        let buyer = shop.buyer(&format!("buyer{number}@example.org"), scarce, 1).await;
        buyers.push(async move { buyer.checkout().await });
    }
    let mut sold = 0;
    for bought in together(buyers).await {
        match bought {
            Ok(_) => sold += 1,
            Err(refused) => assert!(refused.is(Kind::OutOfStock), "{refused}"),
        }
    }
    let books = shop.books().await;
    assert_eq!((sold, books.orders, books.lowest), (5, 5, 0));
    assert_eq!(shop.provider.books().entries.len(), 5, "only who gets one is charged");
    assert_eq!(shop.unexplained().await, 0);
}

async fn with_its_real_latencies_it_takes_three_seconds(place: Place) {
    use shop_outside::{mail::Server, payment::Provider};
    let shop = Shop::with(place, Provider::LATENCY, Server::LATENCY).await;
    let buyer = shop.buyer("ada@example.org", shop.product(0), 1).await;
    let began = Instant::now();
    let order = buyer.checkout().await.expect("an order");
    assert!(began.elapsed() >= Duration::from_secs(3));
    let took = [order.took.paying, order.took.notifying, order.took.confirmed];
    let least = [1_000_000, 2_000_000, 3_000_000];
    assert!(
        took.iter().zip(least).all(|(took, least)| took.is_some_and(|t| t >= least)),
        "{took:?}"
    );
    assert_eq!(buyer.orders().await, [order], "and the order remembers it");
}

async fn closing_finishes_what_has_begun(place: Place) {
    let half = Duration::from_millis(500);
    let shop = Shop::with(place, half, half).await;
    let buyer = shop.buyer("ada@example.org", shop.product(0), 1).await;
    let late = shop.buyer("bob@example.org", shop.product(0), 1).await;
    let begun = tokio::spawn(async move { buyer.checkout().await });
    shop.charged(1).await;
    shop.monolith.close().await;
    assert_eq!(shop.mail.sent().len(), 1, "it was not cut off");
    begun.await.expect("no panic").expect("an order");
    let refused = late.checkout().await.expect_err("closed");
    assert!(refused.is(Kind::Unavailable), "{refused}");
}

/// One more product, of which there are so many.
async fn with_stock(shop: &mut Shop, stock: i64) -> ProductId {
    let mut more = shop.list.clone();
    more.products = shop_outside::supplier::list(8, 1).products;
    more.products[0].stock = stock;
    shop.monolith.seed(&more).await.expect("a new product");
    shop.list.products.extend(more.products);
    shop.product(shop.list.products.len() - 1)
}
