//! The RabbitMQ side, and what is its own.

mod suite;

use std::sync::Arc;

use messaging::broker::Options;
use messaging::{Broker, Message};
use shop_bus::{Bus, Error, Rabbitmq, Reason, Subscription};
use suite::{PATIENCE, Place, conformance, dead_letters, event, finish, next, publish};
use testbed::rabbitmq::Rabbit;
use tokio::time::{sleep, timeout};

/// A virtual host, gone when the test is over.
struct Host(Rabbit);

impl Place for Host {
    async fn new() -> Host {
        Host(testbed::rabbitmq::private().await.expect("a broker"))
    }

    fn address(&self) -> String {
        self.0.url().to_owned()
    }

    async fn open(address: &str) -> Arc<dyn Bus> {
        Arc::new(Rabbitmq::open(address, "a test").await.expect("a bus"))
    }
}

conformance!(Host);

const KIND: &str = "order.placed.v1";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_event_is_dead_lettered_and_what_follows_is_delivered() {
    let place = Host::new().await;
    let bus = place.here().await;
    let mut consumer = bus.subscribe(Subscription::new("audit", &["#"])).await.unwrap();
    let broker = Broker::open(&place.address(), Options::default()).unwrap();
    let channel = broker.channel().await.unwrap();
    let message = Message::new("foreign", KIND, "{}");
    let (to, key) = ("shop.events".into(), KIND.into());
    channel
        .basic_publish(to, key, Default::default(), &message.body, message.properties())
        .await
        .unwrap();
    // The broker has read it before it answers this.
    channel.basic_qos(1, Default::default()).await.unwrap();
    let events = publish(&bus, KIND, 1).await;
    finish(&mut consumer, &events[0]).await;
    let dead = dead_letters(&bus, 1).await;
    assert_eq!((dead[0].reason, dead[0].body.as_str()), (Reason::Unreadable, "{}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_its_connections_were_killed_everybody_goes_on() {
    let place = Host::new().await;
    let bus = place.here().await;
    let mut consumer = bus.subscribe(Subscription::new("audit", &["#"])).await.unwrap();
    let events = publish(&bus, KIND, 2).await;
    let held = next(&mut consumer).await;
    assert_eq!(held.event, events[0]);
    assert!(place.0.kill_connections().await.unwrap() >= 2);
    let third = event(KIND);
    again(|| bus.publish(&third)).await;
    let mut come = Vec::new();
    while come.len() < 3 {
        // The consumer says once that it was lost.
        let Ok(delivery) = timeout(PATIENCE, consumer.next()).await.expect("in time") else {
            continue;
        };
        let (id, attempt) = (delivery.event.id, delivery.attempt);
        if delivery.ack().await.is_ok() {
            come.push((id, attempt));
        }
    }
    assert_eq!(come, [(events[0].id, 2), (events[1].id, 2), (third.id, 1)]);
    let lost = held.ack().await;
    assert!(matches!(lost, Err(Error::Lost)), "{lost:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_broker_has_what_was_confirmed() {
    let rabbit = testbed::rabbitmq::process().await.unwrap();
    let bus: Arc<dyn Bus> = Arc::new(Rabbitmq::open(rabbit.url(), "a test").await.unwrap());
    let mut consumer = bus.subscribe(Subscription::new("audit", &["#"])).await.unwrap();
    let events = publish(&bus, KIND, 20).await;
    finish(&mut consumer, &events[0]).await;
    rabbit.kill().await.unwrap();
    let refused = bus.publish(&events[0]).await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    rabbit.restart().await.unwrap();
    let last = event(KIND);
    again(|| bus.publish(&last)).await;
    let mut come = Vec::new();
    while !come.contains(&last.id) {
        let Ok(delivery) = timeout(PATIENCE, consumer.next()).await.expect("in time") else {
            sleep(std::time::Duration::from_millis(20)).await;
            continue;
        };
        let id = delivery.event.id;
        if delivery.ack().await.is_ok() {
            come.push(id);
        }
    }
    assert!(events[1..].iter().all(|event| come.contains(&event.id)), "all that was confirmed");
}

#[tokio::test]
async fn a_broker_that_is_none_is_out_of_reach_and_its_password_stays_inside() {
    let nobody = "amqp://shop:s3cret@127.0.0.1:1/shop";
    let refused = Rabbitmq::open(nobody, "a test").await.unwrap_err();
    assert!(matches!(refused, Error::Unavailable(_)), "{refused:?}");
    assert!(!format!("{refused:?} {refused}").contains("s3cret"));
    let refused = Rabbitmq::open("redis://shop:s3cret@there", "a test").await.unwrap_err();
    assert!(matches!(refused, Error::Defect(_)), "{refused:?}");
    assert!(!format!("{refused:?} {refused}").contains("s3cret"));
}

/// Does it until it works.
async fn again<'a, F>(act: impl Fn() -> F)
where
    F: Future<Output = Result<(), Error>> + 'a,
{
    let done = timeout(PATIENCE, async {
        while let Err(error) = act().await {
            eprintln!("{error:?}");
            sleep(std::time::Duration::from_millis(20)).await;
        }
    });
    done.await.expect("done in time");
}
