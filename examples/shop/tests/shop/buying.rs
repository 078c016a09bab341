//! From the shelf to the confirmation, and what becomes of it when something goes wrong.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use shop::journeys::{Day, walk};
use shop_contracts::Kind;
use shop_contracts::event::Said;
use shop_contracts::id::ProductId;
use shop_contracts::inventory::Delivery;
use tokio::sync::Barrier;
use tokio::time::{sleep, timeout};

use crate::open::{Open, refused};

const LONG: Duration = Duration::from_secs(60);

pub(crate) async fn a_customer_buys_what_is_in_the_cart(open: Open) {
    let ada = open.customer("ada").await;
    let (tea, cup) = (open.products[0], open.products[1]);
    ada.put(tea, 2).await.expect("two of them");
    let cart = ada.put(cup, 1).await.expect("and one of those");
    let before = open.shop.peers.inventory.stock(tea).await.expect("stock");

    let order = ada.buy("tok_ok", "first-wish").await.expect("confirmed");
    assert_eq!(order["state"], "confirmed");
    assert_eq!(order["total"], cart["total"], "what the cart said is what is paid");
    assert_eq!(order["lines"], cart["lines"]);
    for step in ["reserving", "paying", "confirmed", "notifying"] {
        assert!(order["took"][step].as_i64().expect(step) > 0, "{order}");
    }
    let after = open.shop.peers.inventory.stock(tea).await.expect("stock");
    assert_eq!((after.available, after.sold), (before.available - 2, before.sold + 2));
    assert_eq!(ada.get("/api/cart").await.expect("a cart")["lines"], json!([]));
    let path = format!("/api/orders/{}", order["id"].as_str().expect("an id"));
    assert_eq!(ada.get(&path).await.expect("the order"), order);
    assert_eq!(ada.get("/api/orders").await.expect("orders"), json!([order]));
    let mails = open.shop.setup.mail.sent();
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].to, "ada@customers.example");
    open.adds_up().await;
}

pub(crate) async fn the_same_wish_is_one_order(open: Open) {
    let ada = open.customer("ada").await;
    ada.put(open.products[0], 1).await.expect("in the cart");
    let together = Arc::new(Barrier::new(5));
    let clicks: Vec<_> = (0..5)
        .map(|_| {
            let (ada, together) = (ada.clone(), Arc::clone(&together));
            tokio::spawn(async move {
                together.wait().await;
                ada.buy("tok_ok", "one-wish").await
            })
        })
        .collect();
    let mut orders = Vec::new();
    for click in clicks {
        match click.await.expect("no panic") {
            Ok(order) => orders.push(order["id"].clone()),
            Err(problem) => assert!(problem.is(Kind::Conflict), "still under way: {problem:?}"),
        }
    }
    let later = ada.buy("tok_ok", "one-wish").await.expect("the same order");
    assert!(orders.iter().all(|id| *id == later["id"]), "{orders:?}");
    assert_eq!(open.shop.setup.provider.books().entries.len(), 1, "charged once");
    open.adds_up().await;
}

/// A product of which there are so many.
async fn rare(open: &Open, stock: u32) -> ProductId {
    let listed = open.shop.peers.catalog.product(open.products[0]).await.expect("a product");
    let rare = shop_contracts::catalog::Product { id: ProductId::new(), ..listed };
    let delivery = Delivery { product: rare.id, first_stock: stock };
    open.shop.peers.inventory.deliver(&[delivery]).await.expect("delivered");
    let id = rare.id;
    let list = shop_contracts::catalog::List { categories: vec![], products: vec![rare] };
    open.shop.peers.catalog.take_in(&list).await.expect("listed");
    id
}

pub(crate) async fn what_is_sold_out_is_refused_and_nothing_is_charged(open: Open) {
    let ada = open.customer("ada").await;
    let rare = rare(&open, 2).await;
    ada.put(open.products[0], 1).await.expect("there is plenty");
    ada.put(rare, 3).await.expect("wishing is free");
    let problem = refused(ada.buy("tok_ok", "too-many").await, Kind::OutOfStock, "three of two");
    let path = problem.instance.expect("the order's address");
    assert_eq!(ada.get(&path).await.expect("the order")["state"], "rejected");
    assert!(open.shop.setup.provider.books().entries.is_empty());
    ada.put(rare, 2).await.expect("fewer");
    ada.buy("tok_ok", "just-enough").await.expect("confirmed");
    open.adds_up().await;
}

pub(crate) async fn a_declined_card_buys_nothing(open: Open) {
    let ada = open.customer("ada").await;
    ada.put(open.products[0], 1).await.expect("in the cart");
    let problem =
        refused(ada.buy("tok_declined", "no-money").await, Kind::PaymentDeclined, "declined");
    let path = problem.instance.expect("the order's address");
    assert_eq!(ada.get(&path).await.expect("the order")["state"], "cancelled");
    assert_eq!(
        ada.get("/api/cart").await.expect("a cart")["lines"].as_array().map(Vec::len),
        Some(1),
        "it can be tried again"
    );
    ada.buy("tok_ok", "other-card").await.expect("confirmed");
    open.adds_up().await;
}

pub(crate) async fn the_last_pieces_are_sold_once(open: Open) {
    let rare = rare(&open, 3).await;
    let mut customers = Vec::new();
    for number in 0..8 {
        let customer = open.customer(&format!("buyer{number}")).await;
        customer.put(rare, 1).await.expect("in the cart");
        customers.push(customer);
    }
    let together = Arc::new(Barrier::new(customers.len()));
    let buyers: Vec<_> = customers
        .into_iter()
        .map(|customer| {
            let together = Arc::clone(&together);
            tokio::spawn(async move {
                together.wait().await;
                customer.buy("tok_ok", "the-last-one").await
            })
        })
        .collect();
    let mut sold = 0;
    for buyer in buyers {
        match buyer.await.expect("no panic") {
            Ok(_) => sold += 1,
            Err(problem) => assert!(problem.is(Kind::OutOfStock), "{problem:?}"),
        }
    }
    assert_eq!(sold, 3);
    assert_eq!(open.shop.peers.inventory.stock(rare).await.expect("stock").available, 0);
    open.adds_up().await;
}

/// Payments that are declined, payments that err, mails that fail: by order, while others only look.
pub(crate) async fn a_day_of_trouble_adds_up(open: Open) {
    let trouble = json!({"flags": {
        "fault.payment": {
            "targeting": {"fractional": [["decline", 30], ["error", 10], ["off", 60]]}
        },
        "fault.email": {"targeting": {"fractional": [["error", 30], ["off", 70]]}},
    }});
    open.shop.setup.flags.merge(trouble.to_string()).expect("valid");
    let mut buyers = Vec::new();
    for number in 0..6 {
        let buyer = open.customer(&format!("buyer{number}")).await;
        let product = open.products[number];
        buyers.push(tokio::spawn(async move {
            let mut ended = [0; 3];
            for wish in 0..8 {
                buyer.put(product, 1).await.expect("in the cart");
                let end = match buyer.buy("tok_ok", &format!("wish-{wish:04}")).await {
                    Ok(_) => 0,
                    Err(problem) if problem.is(Kind::PaymentDeclined) => 1,
                    Err(problem) if problem.is(Kind::Unavailable) => 2,
                    Err(problem) => panic!("{problem:?}"),
                };
                ended[end] += 1;
            }
            ended
        }));
    }
    let day = Day { rate: 30.0, duration: Duration::from_secs(2), seed: 7 };
    let evening = walk(&open.shop.url(), open.products.clone(), &day).await.expect("a day");
    for calm in &evening.ended[..3] {
        assert_eq!(calm.failed, 0, "{:?}", calm.first_failure);
    }
    let mut ended = [0; 3];
    for buyer in buyers {
        for (sum, count) in ended.iter_mut().zip(buyer.await.expect("no panic")) {
            *sum += count;
        }
    }
    // Each order has its own fate. That none of 48 is declined happens once in 27 million days.
    assert!(ended[0] > 0 && ended[1] > 0, "confirmed, declined, failed: {ended:?}");
    open.adds_up().await;
}

/// The synchronous checkout says on the bus what has become of it, and is heard by those who are
/// asked as well: one mail all the same, with an inbox and without.
pub(crate) async fn what_is_asked_and_heard_is_one_mail(open: Open) {
    let ada = open.customer("ada").await;
    for (nth, inbox) in ["on", "off"].into_iter().enumerate() {
        let switched = json!({"flags": {"pattern.inbox": {"defaultVariant": inbox}}});
        open.shop.setup.flags.merge(switched.to_string()).expect("known");
        ada.put(open.products[0], 1).await.expect("in the cart");
        let order = ada.buy("tok_ok", &format!("wish-{nth}-of-ada")).await.expect("confirmed");
        let id = order["id"].as_str().expect("an id");
        let told = async {
            loop {
                let trace = open.shop.peers.orders.trace(id).await.expect("a trace");
                let events = trace.happened.iter().filter(|one| one.what == "event");
                if events.filter(|one| one.took.is_some()).count() == 2 {
                    break;
                }
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(LONG, told).await.expect("both are on the bus");
        // Time for a second mail, were there one.
        sleep(Duration::from_millis(300)).await;
        assert_eq!(open.shop.setup.mail.sent().len(), nth + 1, "inbox {inbox}");
        let order = id.parse().expect("an id");
        let kinds = |said: Vec<Said>| -> Vec<String> {
            said.into_iter().map(|said| said.event.kind).collect()
        };
        let peers = &open.shop.peers;
        let held = kinds(peers.inventory.events(order).await.expect("events"));
        let charged = kinds(peers.payments.events(order).await.expect("events"));
        assert_eq!(
            (held, charged),
            (vec!["stock.reserved.v1".to_owned()], vec!["payment.authorized.v1".to_owned()],)
        );
    }
    open.adds_up().await;
}
