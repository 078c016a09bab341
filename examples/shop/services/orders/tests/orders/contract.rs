//! Each row of the contract's table, and each refusal.

use axum::body::Bytes;
use axum::http::{Method, StatusCode, header};
use shop_contracts::id::{CustomerId, OrderId};
use shop_contracts::orders::{Books, State};
use shop_contracts::{Kind, Money};

use crate::peers::{Step, Trouble};
use crate::world::{World, address};

const NO_BOOKS: Books = Books { confirmed: 0, revenue: 0, units: 0, failed: 0, open: 0 };

#[tokio::test]
async fn a_cart_becomes_a_confirmed_order() {
    let world = World::new().await;
    let order = world.buy("one").await.expect("confirmed");
    assert_eq!((order.customer, order.state), (world.customer, State::Confirmed));
    assert_eq!(order.total, Money::euros(950));
    let lines: Vec<_> = order.lines.iter().map(|line| (&*line.name, line.quantity.get())).collect();
    assert_eq!(lines, [("tea", 2), ("milk", 1)]);
    assert_eq!(order.reason, None);
    let took = order.took;
    let each = [took.reserving, took.paying, took.confirmed, took.notifying];
    assert!(each.iter().all(|took| took.is_some_and(|took| took > 0)), "{took:?}");
    assert!(took.confirmed >= took.reserving.max(took.paying), "{took:?}");

    let calls = [
        Step::Cart,
        Step::Reserve,
        Step::Charge,
        Step::Commit,
        Step::Cart,
        Step::Remove,
        Step::Remove,
        Step::Notify,
    ];
    assert_eq!(world.peers.look().calls, calls);
    assert_eq!(world.cart(), []);
    assert_eq!((world.peers.kept(), world.peers.held()), (950, 0));
    let mails = world.peers.look().mails.clone();
    assert_eq!(mails.len(), 1);
    assert_eq!((mails[0].0, mails[0].1.total), (order.id, order.total));

    assert_eq!(world.client.order(world.customer, order.id).await.expect("theirs"), order);
    let books = world.client.books().await.expect("books");
    assert_eq!(books, Books { confirmed: 1, revenue: 950, units: 3, ..NO_BOOKS });
}

#[tokio::test]
async fn the_answer_is_201() {
    let world = World::new().await;
    let body = serde_json::to_vec(&world.wish("one", "tok_ok")).expect("JSON");
    for _ in 0..2 {
        let body = Bytes::from(body.clone());
        let answer = world.client.0.forward(Method::POST, "/orders", body, &[]).await;
        assert_eq!(answer.expect("an answer").status(), StatusCode::CREATED);
    }
}

#[tokio::test]
async fn orders_are_listed_the_latest_first_and_shown_to_their_customer_alone() {
    let world = World::new().await;
    let mut placed = Vec::new();
    for key in ["one", "two", "three"] {
        world.fill(world.tea, "tea", 1, 400);
        placed.insert(0, world.buy(key).await.expect("confirmed"));
    }
    assert_eq!(world.client.orders(world.customer).await.expect("orders"), placed);

    let somebody = CustomerId::new();
    assert_eq!(world.client.orders(somebody).await.expect("orders"), []);
    for (customer, order) in [(somebody, placed[0].id), (world.customer, OrderId::new())] {
        let problem = world.client.order(customer, order).await.expect_err("not theirs");
        assert!(problem.is(Kind::NotFound), "{problem}");
    }
}

#[tokio::test]
async fn an_empty_cart_leads_to_no_order_and_uses_up_no_key() {
    let world = World::new().await;
    world.peers.look().carts.clear();
    let problem = world.buy("one").await.expect_err("empty");
    assert!(problem.is(Kind::EmptyCart), "{problem}");
    assert_eq!(world.client.orders(world.customer).await.expect("orders"), []);
    world.fill(world.tea, "tea", 1, 400);
    assert_eq!(world.buy("one").await.expect("confirmed").state, State::Confirmed);
}

#[tokio::test]
async fn a_cart_that_cannot_be_read_leads_to_no_order() {
    let world = World::new().await;
    world.peers.next(Step::Cart, [Trouble::Refused(Kind::Unavailable), Trouble::AnswerLost]);
    for _ in 0..2 {
        let problem = world.buy("one").await.expect_err("no cart");
        assert!(problem.is(Kind::Unavailable), "{problem}");
    }
    assert_eq!(world.client.orders(world.customer).await.expect("orders"), []);
    world.buy("one").await.expect("confirmed");
}

#[tokio::test]
async fn what_is_not_in_stock_is_rejected_and_nothing_is_charged() {
    for unknown in [false, true] {
        let world = World::new().await;
        if unknown {
            world.peers.look().unknown.push(world.tea);
        } else {
            world.peers.look().stock.insert(world.tea, 1);
        }
        let problem = world.buy("one").await.expect_err("not there");
        assert!(problem.is(Kind::OutOfStock), "{problem}");
        let order = world.only().await;
        assert_eq!(order.state, State::Rejected);
        assert_eq!(problem.instance, address(&order));
        let reason = if unknown { "no such product" } else { "only 1 left" };
        assert_eq!(order.reason.as_deref(), Some(reason));
        assert_eq!(world.peers.look().calls, [Step::Cart, Step::Reserve]);
        assert_eq!(world.cart().len(), 2, "the cart is as it was");

        world.peers.look().stock.clear();
        world.peers.look().unknown.clear();
        assert_eq!(world.buy("one").await.expect_err("the same wish"), problem);
        world.buy("two").await.expect("a new wish");
        let books = world.client.books().await.expect("books");
        assert_eq!(books, Books { confirmed: 1, revenue: 950, units: 3, failed: 1, open: 0 });
    }
}

#[tokio::test]
async fn a_declined_card_gives_the_stock_back() {
    let world = World::new().await;
    let declined = world.wish("one", "tok_declined");
    let problem = world.client.place(&declined).await.expect_err("declined");
    assert!(problem.is(Kind::PaymentDeclined), "{problem}");
    let order = world.only().await;
    assert_eq!(order.state, State::Cancelled);
    assert_eq!(problem.instance, address(&order));
    assert_eq!(order.reason.as_deref(), Some("the card was declined"));
    assert!(order.took.reserving.is_some() && order.took.paying.is_none(), "{:?}", order.took);
    let calls = [Step::Cart, Step::Reserve, Step::Charge, Step::Release];
    assert_eq!(world.peers.look().calls, calls);
    assert_eq!((world.peers.kept(), world.peers.held()), (0, 0));

    assert_eq!(world.client.place(&declined).await.expect_err("the same wish"), problem);
    let again = world.buy("one").await.expect_err("the key stands for the order");
    assert_eq!(again, problem);
    world.buy("two").await.expect("another card, another key");
}

#[tokio::test]
async fn more_than_can_be_charged_at_once_is_refused_before_there_is_an_order() {
    let world = World::new().await;
    world.fill(world.tea, "tea", 99, 1_000_000_000);
    let problem = world.buy("one").await.expect_err("too much");
    assert!(problem.is(Kind::Invalid), "{problem}");
    assert_eq!(world.client.orders(world.customer).await.expect("orders"), []);
}

#[tokio::test]
async fn the_same_key_of_another_customer_is_another_wish() {
    let mut world = World::new().await;
    let first = world.buy("one").await.expect("confirmed");
    world.customer = CustomerId::new();
    world.fill(world.tea, "tea", 1, 400);
    let second = world.buy("one").await.expect("confirmed");
    assert_ne!(first.id, second.id);
    assert_eq!(second.customer, world.customer);
}

#[tokio::test]
async fn what_is_not_a_wish_is_refused() {
    let world = World::new().await;
    let good = serde_json::to_string(&world.wish("one", "tok_ok")).expect("JSON");
    let customer = world.customer.to_string();
    let posts = [
        (good.replace("tok_ok", ""), 422),
        (good.replace("\"wish-one\"", "1"), 422),
        (good.replace(&customer, "nobody"), 422),
        (good.replace('}', ""), 400),
        ("{}".to_owned(), 422),
    ];
    for (body, status) in posts {
        let answer = world.client.0.forward(Method::POST, "/orders", body.clone().into(), &[]);
        assert_eq!(answer.await.expect("an answer").status().as_u16(), status, "{body}");
    }
    let text = (header::CONTENT_TYPE, header::HeaderValue::from_static("text/plain"));
    let gets = [
        ("/orders".to_owned(), 422),
        ("/orders?customer=nobody".to_owned(), 422),
        (format!("/orders/nothing?customer={customer}"), 422),
        (format!("/orders/{}", OrderId::new()), 422),
        (format!("/orders?customer={customer}&page=2"), 422),
        ("/health".to_owned(), 200),
    ];
    for (path, status) in gets {
        let text = [text.clone()];
        let answer = world.client.0.forward(Method::GET, &path, Bytes::new(), &text).await;
        assert_eq!(answer.expect("an answer").status().as_u16(), status, "{path}");
    }
    assert_eq!(world.peers.look().calls, []);
}
