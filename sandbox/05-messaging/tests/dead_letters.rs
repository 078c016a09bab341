//! What the checks of 05.5 do not say: what RabbitMQ itself does with what is written on a message.

#![allow(clippy::unwrap_used)] // helpers of tests are tests

use lapin::Channel;
use lapin::message::BasicGetMessage;
use lapin::options::{BasicGetOptions, BasicPublishOptions, BasicRejectOptions};
use lapin::types::{AMQPValue, FieldTable};
use messaging::dead_letters::{DeadLetter, Options, RabbitWard, Reason, Ward, attempt};
use messaging::{Broker, Message, Queue, Topology, broker};
use testbed::rabbitmq::Rabbit;

struct Scene {
    rabbit: Rabbit,
    queue: Queue,
    channel: Channel,
    _broker: Broker,
}

impl Scene {
    async fn set(deliveries: u32) -> Scene {
        let rabbit = testbed::rabbitmq::private().await.unwrap();
        let broker = Broker::open(rabbit.url(), broker::Options::default()).unwrap();
        let channel = broker.channel().await.unwrap();
        let queue = Queue { deliveries, ..Queue::new("mailer", &["#"]) };
        let topology = Topology { exchange: "shop".to_owned(), queues: vec![queue.clone()] };
        topology.declare(&channel).await.unwrap();
        channel.confirm_select(Default::default()).await.unwrap();
        Scene { rabbit, queue, channel, _broker: broker }
    }

    fn ward(&self) -> RabbitWard {
        RabbitWard::open(self.rabbit.url(), "shop", self.queue.clone(), Options::default()).unwrap()
    }

    async fn put(&self, message: &Message, forged: Option<(&str, AMQPValue)>) {
        let mut headers = FieldTable::default();
        if let Some((name, value)) = forged {
            headers.insert(name.into(), value);
        }
        let (key, properties) = (message.key.as_str(), message.properties().with_headers(headers));
        let options = BasicPublishOptions::default();
        let body = &message.body;
        let sent = self.channel.basic_publish("shop".into(), key.into(), options, body, properties);
        sent.await.unwrap().await.unwrap();
    }

    async fn get(&self) -> BasicGetMessage {
        loop {
            let got = self.channel.basic_get("mailer".into(), BasicGetOptions::default());
            if let Some(got) = got.await.unwrap() {
                return got;
            }
        }
    }
}

#[tokio::test]
async fn a_count_that_was_published_is_the_queues_own_all_the_same() {
    let scene = Scene::set(5).await;
    let message = Message::new("m1", "order.placed.v1", "");
    scene.put(&message, Some(("x-delivery-count", AMQPValue::LongLongInt(3)))).await;
    assert_eq!(attempt(&scene.get().await.delivery), 1);
}

#[tokio::test]
async fn a_letter_of_nobody_is_read_all_the_same() {
    let scene = Scene::set(5).await;
    let (none, body) = (Default::default(), b"who am I?");
    let sent = scene.channel.basic_publish(
        "".into(),
        scene.queue.dead().as_str().into(),
        BasicPublishOptions::default(),
        body,
        none,
    );
    sent.await.unwrap().await.unwrap();
    let letters = scene.ward().dead_letters().await.unwrap();
    let [DeadLetter { message, reason, why: None, attempts: None, redriven: 0, .. }] =
        letters.as_slice()
    else {
        panic!("{letters:?}");
    };
    assert_eq!((message.body.as_slice(), reason), (body.as_slice(), &Reason::Other(String::new())));
}

#[tokio::test]
async fn what_the_broker_dead_letters_after_a_redrive_is_its_latest_death() {
    let scene = Scene::set(2).await;
    let ward = scene.ward();
    let message = Message::new("m1", "order.placed.v1", "");
    scene.put(&message, None).await;
    scene.get().await.reject(BasicRejectOptions { requeue: false }).await.unwrap();
    let one = |queue: &testbed::rabbitmq::Queue| queue.ready == 1;
    let patience = std::time::Duration::from_secs(10);
    scene.rabbit.wait_for("mailer.dlq", patience, one).await.unwrap();
    assert_eq!(ward.redrive(|letter| letter.redriven == 0).await.unwrap(), 1);
    for _ in 0..2 {
        scene.get().await.reject(BasicRejectOptions { requeue: true }).await.unwrap();
    }
    scene.rabbit.wait_for("mailer.dlq", patience, one).await.unwrap();
    let letters = ward.dead_letters().await.unwrap();
    assert_eq!(letters[0].reason, Reason::DeliveryLimit);
    assert_eq!((letters[0].redriven, letters[0].message.key.as_str()), (1, "order.placed.v1"));
    assert_eq!(ward.redrive(|letter| letter.redriven == 0).await.unwrap(), 0, "it stays");
}
