//! What a customer means to buy.

use http::Method;
use serde_json::json;
use shop_contracts::Kind;
use shop_contracts::carts::Cart;
use shop_contracts::id::ProductId;
use testbed::place::Place;

use crate::place::sides;
use crate::shop::Shop;

sides! {
    a_cart_holds_what_was_put_into_it_at_todays_prices
    a_cart_is_its_customers
    what_cannot_be_bought_does_not_get_in
}

async fn a_cart_holds_what_was_put_into_it_at_todays_prices(place: Place) {
    let shop = Shop::open(place).await;
    let buyer = shop.customer("ada@example.org").await;
    let (one, two) = (&shop.list.products[1], &shop.list.products[2]);
    // Not in the order of the ids, in which they come back.
    buyer.put(ProductId(two.id), 5).await.expect("room");
    buyer.put(ProductId(one.id), 1).await.expect("room");
    let cart = buyer.put(ProductId(two.id), 3).await.expect("three in place of five");
    let lines: Vec<_> =
        cart.lines.iter().map(|line| (line.product.0, line.quantity.get(), &line.name)).collect();
    assert_eq!(lines, [(one.id, 1, &one.name), (two.id, 3, &two.name)]);
    assert_eq!(cart.total.amount, one.price + 3 * two.price);
    assert_eq!(buyer.cart().await, cart);

    let path = format!("/api/cart/items/{}", two.id);
    for _ in 0..2 {
        let cart: Cart = buyer.ask(Method::DELETE, &path, None::<()>).await.expect("a cart");
        assert_eq!(cart.total.amount, one.price, "also where it was out of it already");
    }
}

async fn a_cart_is_its_customers(place: Place) {
    let shop = Shop::open(place).await;
    let ada = shop.buyer("ada@example.org", shop.product(0), 1).await;
    let bob = shop.buyer("bob@example.org", shop.product(1), 2).await;
    let path = format!("/api/cart/items/{}", shop.product(0));
    bob.ask::<Cart>(Method::DELETE, &path, None::<()>).await.expect("nothing to remove");
    assert_eq!(ada.cart().await.lines.len(), 1);
    assert_eq!(bob.cart().await.lines[0].product, shop.product(1));
}

async fn what_cannot_be_bought_does_not_get_in(place: Place) {
    let shop = Shop::open(place).await;
    let buyer = shop.customer("ada@example.org").await;
    let unknown = buyer.put(ProductId::new(), 1).await.expect_err("no such product");
    assert!(unknown.is(Kind::NotFound), "{unknown}");
    let path = format!("/api/cart/items/{}", shop.product(0));
    for wrong in [json!(0), json!(-1), json!(100), json!(1.5), json!("1"), json!(null)] {
        let refused = buyer.ask::<Cart>(Method::PUT, &path, Some(json!({"quantity": wrong}))).await;
        assert!(refused.as_ref().is_err_and(|problem| problem.is(Kind::Invalid)), "{wrong}");
    }
    let garbled = buyer.ask::<Cart>(Method::PUT, "/api/cart/items/x", Some(json!({"quantity": 1})));
    assert!(garbled.await.expect_err("no id").is(Kind::Invalid));
    assert_eq!(buyer.cart().await.lines, []);
}
