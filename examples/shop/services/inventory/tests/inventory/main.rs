//! The inventory service, asked over a real connection by the client that its callers use.

mod guards;
mod says;
mod together;
mod world;

use shop_contracts::id::{OrderId, ProductId};
use shop_contracts::inventory::{Delivery, State, Stock};
use shop_contracts::{Kind, Problem};

use crate::world::{World, raw, wanted};

fn refused<T: std::fmt::Debug>(answer: Result<T, Problem>, kind: Kind) -> Problem {
    let problem = answer.expect_err("a refusal");
    assert!(problem.is(kind), "{kind:?} was expected, not {problem:?}");
    problem
}

#[tokio::test]
async fn what_was_delivered_can_be_bought() {
    let world = World::new().await;
    let (tea, milk) = (world.delivered(7).await, world.delivered(0).await);
    let stock = |product, available| Stock { product, available, reserved: 0, sold: 0 };
    assert_eq!(world.client.stock(tea).await, Ok(stock(tea, 7)));
    assert_eq!(world.client.stock(milk).await, Ok(stock(milk, 0)));
    refused(world.client.stock(ProductId::new()).await, Kind::NotFound);
}

#[tokio::test]
async fn a_delivery_is_not_taken_in_twice() {
    let world = World::new().await;
    let tea = world.delivered(7).await;
    let order = OrderId::new();
    world.client.reserve(order, &wanted([(tea, 2)])).await.expect("enough");
    let again =
        [Delivery { product: tea, first_stock: 7 }, Delivery { product: tea, first_stock: 9 }];
    world.client.deliver(&again).await.expect("taken in");
    assert_eq!(world.counts(tea).await, (5, 2, 0));
    assert_eq!(world.client.books().await.expect("books").delivered, 7);
}

#[tokio::test]
async fn a_delivery_may_be_long() {
    let world = World::new().await;
    let products = (0..5000).map(|_| Delivery { product: ProductId::new(), first_stock: u32::MAX });
    let list: Vec<_> = products.collect();
    world.client.deliver(&list).await.expect("taken in");
    let books = world.client.books().await.expect("books");
    assert_eq!((books.products, books.delivered), (5000, 5000 * i64::from(u32::MAX)));
}

#[tokio::test]
async fn a_reservation_is_held_and_then_sold() {
    let world = World::new().await;
    let (tea, milk) = (world.delivered(7).await, world.delivered(3).await);
    let order = OrderId::new();
    let lines = wanted([(milk, 3), (tea, 2)]);
    let held = world.client.reserve(order, &lines).await.expect("enough");
    assert_eq!((held.order, held.state), (order, State::Held));
    assert_eq!((world.counts(tea).await, world.counts(milk).await), ((5, 2, 0), (0, 3, 0)));

    let sold = world.client.commit(order).await.expect("held");
    assert_eq!((sold.order, sold.state), (order, State::Sold));
    assert_eq!((world.counts(tea).await, world.counts(milk).await), ((5, 0, 2), (0, 0, 3)));

    let books = world.client.books().await.expect("books");
    assert_eq!((books.products, books.lowest), (2, 0));
    assert_eq!((books.available, books.reserved, books.sold, books.delivered), (5, 0, 5, 10));
}

#[tokio::test]
async fn what_is_released_can_be_bought_again() {
    let world = World::new().await;
    let tea = world.delivered(7).await;
    let order = OrderId::new();
    world.client.reserve(order, &wanted([(tea, 7)])).await.expect("enough");
    world.client.release(order).await.expect("held");
    assert_eq!(world.counts(tea).await, (7, 0, 0));
    world.client.reserve(OrderId::new(), &wanted([(tea, 7)])).await.expect("enough again");
}

#[tokio::test]
async fn too_few_of_one_is_none_of_any() {
    let world = World::new().await;
    let (tea, milk) = (world.delivered(7).await, world.delivered(1).await);
    let order = OrderId::new();
    let problem = refused(
        world.client.reserve(order, &wanted([(tea, 2), (milk, 2)])).await,
        Kind::OutOfStock,
    );
    assert!(problem.to_string().contains(&milk.to_string()), "{problem}");
    assert_eq!((world.counts(tea).await, world.counts(milk).await), ((7, 0, 0), (1, 0, 0)));
    // Nothing is left of it: the same order may want less.
    world.client.reserve(order, &wanted([(tea, 2), (milk, 1)])).await.expect("enough");
}

#[tokio::test]
async fn an_unknown_product_is_told_from_one_that_is_sold_out() {
    let world = World::new().await;
    let tea = world.delivered(7).await;
    let order = OrderId::new();
    let lines = wanted([(tea, 2), (ProductId::new(), 1)]);
    refused(world.client.reserve(order, &lines).await, Kind::NotFound);
    assert_eq!(world.counts(tea).await, (7, 0, 0));
    refused(world.client.commit(order).await, Kind::NotFound);
}

#[tokio::test]
async fn asked_twice_is_done_once() {
    let world = World::new().await;
    let (tea, milk) = (world.delivered(7).await, world.delivered(7).await);
    let (order, lines) = (OrderId::new(), wanted([(tea, 2), (milk, 1)]));
    for _ in 0..2 {
        let held = world.client.reserve(order, &lines).await.expect("enough");
        assert_eq!(held.state, State::Held);
    }
    // The order of the lines does not make another wish.
    world.client.reserve(order, &wanted([(milk, 1), (tea, 2)])).await.expect("the same");
    assert_eq!(world.counts(tea).await, (5, 2, 0));
    for _ in 0..2 {
        world.client.commit(order).await.expect("held");
    }
    assert_eq!(world.counts(tea).await, (5, 0, 2));
    // A reservation whose answer was lost, asked again after the commit.
    assert_eq!(world.client.reserve(order, &lines).await.map(|held| held.state), Ok(State::Sold));
    assert_eq!(world.counts(tea).await, (5, 0, 2));

    let (order, lines) = (OrderId::new(), wanted([(tea, 1)]));
    world.client.reserve(order, &lines).await.expect("enough");
    for _ in 0..2 {
        world.client.release(order).await.expect("held");
    }
    assert_eq!(world.counts(tea).await, (5, 0, 2));
}

#[tokio::test]
async fn one_order_has_one_reservation() {
    let world = World::new().await;
    let (tea, milk) = (world.delivered(7).await, world.delivered(7).await);
    let order = OrderId::new();
    world.client.reserve(order, &wanted([(tea, 2)])).await.expect("enough");
    for other in [wanted([(tea, 3)]), wanted([(milk, 2)]), wanted([(tea, 2), (milk, 1)])] {
        refused(world.client.reserve(order, &other).await, Kind::Conflict);
    }
    assert_eq!((world.counts(tea).await, world.counts(milk).await), ((5, 2, 0), (7, 0, 0)));
}

#[tokio::test]
async fn what_is_over_stays_over() {
    let world = World::new().await;
    let tea = world.delivered(7).await;
    let lines = wanted([(tea, 2)]);

    let released = OrderId::new();
    world.client.reserve(released, &lines).await.expect("enough");
    world.client.release(released).await.expect("held");
    refused(world.client.reserve(released, &lines).await, Kind::Conflict);
    refused(world.client.commit(released).await, Kind::Conflict);
    assert_eq!(world.counts(tea).await, (7, 0, 0));

    let sold = OrderId::new();
    world.client.reserve(sold, &lines).await.expect("enough");
    world.client.commit(sold).await.expect("held");
    refused(world.client.release(sold).await, Kind::Conflict);
    assert_eq!(world.counts(tea).await, (5, 0, 2));
}

#[tokio::test]
async fn a_reservation_that_comes_after_its_release_finds_it_over() {
    let world = World::new().await;
    let tea = world.delivered(7).await;
    let order = OrderId::new();
    for _ in 0..2 {
        world.client.release(order).await.expect("written down");
    }
    refused(world.client.reserve(order, &wanted([(tea, 2)])).await, Kind::Conflict);
    assert_eq!(world.counts(tea).await, (7, 0, 0));
}

#[tokio::test]
async fn what_is_not_allowed_changes_nothing() {
    let world = World::new().await;
    let tea = world.delivered(7).await;
    let order = OrderId::new();
    let problem =
        refused(world.client.reserve(order, &wanted([(tea, 1), (tea, 1)])).await, Kind::Invalid);
    assert_eq!(problem.errors[0].at, "body.lines[1].product");
    refused(world.client.reserve(order, &wanted([])).await, Kind::Invalid);

    let here = format!("/reservations/{order}");
    let line = |quantity: &str| {
        format!(r#"{{"lines": [{{"product": "{tea}", "quantity": {quantity}}}]}}"#)
    };
    for (method, path, body, kind) in [
        ("PUT", here.as_str(), "{", Kind::Malformed),
        ("PUT", &here, "{}", Kind::Invalid),
        ("PUT", &here, &line("0"), Kind::Invalid),
        ("PUT", &here, &line("-1"), Kind::Invalid),
        ("PUT", &here, &line("100"), Kind::Invalid),
        ("PUT", &here, &line("1.5"), Kind::Invalid),
        ("PUT", &here, &" ".repeat(17 << 10), Kind::TooLarge),
        ("PUT", "/reservations/7", &line("1"), Kind::Invalid),
        ("POST", "/reservations/7/commit", "", Kind::Invalid),
        ("DELETE", "/reservations/7", "", Kind::Invalid),
        ("GET", "/stock/tea", "", Kind::Invalid),
        ("POST", "/stock", r#"[{"product": "tea", "first_stock": 1}]"#, Kind::Invalid),
        (
            "POST",
            "/stock",
            &format!(r#"[{{"product": "{tea}", "first_stock": -1}}]"#),
            Kind::Invalid,
        ),
        ("GET", "/nowhere", "", Kind::NotFound),
        ("POST", &here, "", Kind::MethodNotAllowed),
    ] {
        let problem = raw(&world.client.0, method, path, body).await;
        assert!(problem.is(kind), "{method} {path} {body:.40}: {problem:?}");
    }
    assert_eq!(world.counts(tea).await, (7, 0, 0));
    refused(world.client.commit(order).await, Kind::NotFound);
}

#[tokio::test]
async fn it_says_that_it_is_well() {
    let world = World::new().await;
    let answer = world.ask("GET", "/health").await;
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn all_of_it_is_there_after_opening_it_again() {
    let mut world = World::new().await;
    let tea = world.delivered(7).await;
    let order = OrderId::new();
    world.client.reserve(order, &wanted([(tea, 2)])).await.expect("enough");
    world.restart().await;
    assert_eq!(world.counts(tea).await, (5, 2, 0));
    world.client.commit(order).await.expect("held");
}
