//! What gets into which queue.

use shop_bus::{Error, Subscription};

use super::{Place, assert_empty, event, finish, next, publish};

pub(crate) async fn an_event_comes_as_it_was_published(place: impl Place) {
    let bus = place.here().await;
    let mut consumer = bus.subscribe(Subscription::new("audit", &["#"])).await.unwrap();
    let mut said = event("order.placed.v1");
    said.data =
        serde_json::json!({"note": "Käse 🧀 'quoted' \\ \"", "big": i64::MAX, "none": null});
    bus.publish(&said).await.unwrap();
    let delivery = next(&mut consumer).await;
    assert_eq!(delivery.event, said);
    assert_eq!((delivery.attempt, delivery.redelivered()), (1, false));
}

pub(crate) async fn every_queue_gets_a_copy(place: impl Place) {
    let bus = place.here().await;
    let wants = |queue| Subscription::new(queue, &["order.placed.v1"]);
    let mut stock = bus.subscribe(wants("inventory")).await.unwrap();
    let mut audit = bus.subscribe(wants("audit")).await.unwrap();
    let events = publish(&bus, "order.placed.v1", 3).await;
    for event in &events {
        finish(&mut stock, event).await;
    }
    assert_empty(&bus, &mut stock, "order.placed.v1").await;
    for event in &events {
        finish(&mut audit, event).await;
    }
}

pub(crate) async fn bindings_match_by_words_and_overlapping_ones_give_one_copy(place: impl Place) {
    let bus = place.here().await;
    let patterns = ["order.*.v1", "#.confirmed.#", "stock.#"];
    let mut consumer = bus.subscribe(Subscription::new("audit", &patterns)).await.unwrap();
    let mut wanted = Vec::new();
    for (kind, matches) in [
        ("order.placed.v1", true),
        ("order.placed.v2", false),
        ("order.confirmed.v1", true),
        ("payment.authorized.v1", false),
        ("stock.reserved.v1", true),
        ("notification.sent.v1", false),
        ("order.confirmed.v2", true),
    ] {
        let published = publish(&bus, kind, 1).await;
        if matches {
            wanted.extend(published);
        }
    }
    for event in &wanted {
        finish(&mut consumer, event).await;
    }
    assert_empty(&bus, &mut consumer, "stock.released.v1").await;
}

pub(crate) async fn what_no_queue_wants_is_gone(place: impl Place) {
    let bus = place.here().await;
    bus.publish(&event("order.placed.v1")).await.unwrap();
    let mut late = bus.subscribe(Subscription::new("audit", &["#"])).await.unwrap();
    assert_empty(&bus, &mut late, "order.placed.v1").await;
}

pub(crate) async fn declaring_again_keeps_messages_and_adds_bindings(place: impl Place) {
    let bus = place.here().await;
    drop(bus.subscribe(Subscription::new("audit", &["order.#"])).await.unwrap());
    let before = publish(&bus, "order.placed.v1", 1).await;
    let mut consumer = bus.subscribe(Subscription::new("audit", &["stock.#"])).await.unwrap();
    let after =
        [publish(&bus, "stock.reserved.v1", 1).await, publish(&bus, "order.placed.v1", 1).await];
    for event in before.iter().chain(after.iter().flatten()) {
        finish(&mut consumer, event).await;
    }
}

pub(crate) async fn declaring_otherwise_is_refused(place: impl Place) {
    let bus = place.here().await;
    let wants = Subscription::new("audit", &["#"]).deliveries(3);
    let mut consumer = bus.subscribe(wants).await.unwrap();
    let refused = bus.subscribe(wants.deliveries(4)).await.map(drop);
    assert!(matches!(refused, Err(Error::Defect(_))), "{refused:?}");
    let mut another = bus.subscribe(wants).await.unwrap();
    let events = publish(&bus, "order.placed.v1", 2).await;
    // Each has one in its hands, or one has both: neither was harmed.
    drop(another);
    another = bus.subscribe(wants).await.unwrap();
    let mut come = Vec::new();
    while come.len() < events.len() {
        let delivery = tokio::select! {
            delivery = next(&mut consumer) => delivery,
            delivery = next(&mut another) => delivery,
        };
        come.push(delivery.event.id);
        delivery.ack().await.unwrap();
    }
    assert!(events.iter().all(|event| come.contains(&event.id)));
}
