//! A RabbitMQ of the test bed, as lessons use it: virtual hosts, counts, faults.

#![allow(clippy::unwrap_used)] // A test may stop at the first surprise, helpers included.

use std::time::Duration;

use futures_util::StreamExt as _;
use lapin::options::{
    BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
    QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use testbed::rabbitmq::{self, Queue, Rabbit};

const SOON: Duration = Duration::from_secs(10);

/// A client's connection, and a channel that confirms.
async fn client(rabbit: &Rabbit) -> (Connection, Channel) {
    let connection =
        Connection::connect(rabbit.url(), ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    (connection, channel)
}

async fn declare(channel: &Channel, name: &str, kind: &str) {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString(kind.into()));
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(name.into(), durable, arguments).await.unwrap();
}

/// Publishes a persistent message and waits until the broker has it.
async fn publish(channel: &Channel, queue: &str) {
    let persistent = BasicProperties::default().with_delivery_mode(2);
    let options = BasicPublishOptions::default();
    let sent = channel.basic_publish("".into(), queue.into(), options, b"hello", persistent);
    assert!(sent.await.unwrap().await.unwrap().is_ack());
}

async fn consume(channel: &Channel, queue: &str, prefetch: u16) -> lapin::Consumer {
    channel.basic_qos(prefetch, BasicQosOptions::default()).await.unwrap();
    let options = BasicConsumeOptions::default();
    channel.basic_consume(queue.into(), "".into(), options, FieldTable::default()).await.unwrap()
}

fn held(ready: u64, unacked: u64, consumers: u64) -> Queue {
    Queue { ready, unacked, consumers }
}

#[tokio::test]
async fn virtual_hosts_see_nothing_of_each_other_and_go_with_their_handles() {
    let one = rabbitmq::private().await.unwrap();
    let other = rabbitmq::private().await.unwrap();
    assert!(one.queues().await.unwrap().is_empty());
    let (_connection, channel) = client(&one).await;
    declare(&channel, "orders", "classic").await;
    assert_eq!(one.queue("orders").await.unwrap(), Some(held(0, 0, 0)));
    assert_eq!(other.queue("orders").await.unwrap(), None);
    assert_eq!(other.kill_connections().await.unwrap(), 0, "they are not theirs");

    let copy = one.clone();
    drop(one);
    assert!(copy.queue("orders").await.unwrap().is_some(), "one handle is left");
    let url = copy.url().to_owned();
    drop(copy);
    // The broker deletes it when it has seen the end of the handle's connection.
    let deadline = tokio::time::Instant::now() + SOON;
    while Connection::connect(&url, ConnectionProperties::default()).await.is_ok() {
        assert!(tokio::time::Instant::now() < deadline, "the virtual host is still there");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(other.queues().await.unwrap().is_empty(), "the neighbour is");
}

#[tokio::test]
async fn counts_of_a_classic_queue_are_true_when_they_are_asked_for() {
    counts_are_true("classic").await;
}

#[tokio::test]
async fn counts_of_a_quorum_queue_are_true_when_they_are_asked_for() {
    counts_are_true("quorum").await;
}

async fn counts_are_true(kind: &str) {
    let rabbit = rabbitmq::private().await.unwrap();
    let (_publisher, channel) = client(&rabbit).await;
    declare(&channel, "orders", kind).await;
    for sent in 1..=50 {
        publish(&channel, "orders").await;
        assert_eq!(rabbit.queue("orders").await.unwrap(), Some(held(sent, 0, 0)));
    }
    let (_taker, channel) = client(&rabbit).await;
    let mut consumer = consume(&channel, "orders", 20).await;
    let taken = rabbit.wait_for("orders", SOON, |queue| queue.unacked == 20).await.unwrap();
    assert_eq!(taken, held(30, 20, 1));

    // F4: both connections hear why, and what was taken comes back.
    assert_eq!(rabbit.kill_connections().await.unwrap(), 2);
    rabbit.wait_for("orders", SOON, |queue| *queue == held(50, 0, 0)).await.unwrap();
    let why = loop {
        match consumer.next().await {
            Some(Ok(_)) => {}
            Some(Err(why)) => break why.to_string(),
            None => break "the consumer ended".into(),
        }
    };
    assert!(why.contains("CONNECTION_FORCED"), "{why}");

    let late = Duration::from_millis(50);
    let late = rabbit.wait_for("orders", late, |queue| queue.ready == 0).await.unwrap_err();
    assert!(late.to_string().contains("50 ready, 0 unacked, 0 consumers"), "{late}");
}

#[tokio::test]
async fn a_virtual_host_is_no_broker_to_kill() {
    let rabbit = rabbitmq::private().await.unwrap();
    let refused = rabbit.kill().await.unwrap_err().to_string();
    assert!(refused.contains("next: take one with testbed::rabbitmq::process()"), "{refused}");
    assert!(rabbit.stop_process().await.is_err());
    assert!(rabbit.restart().await.is_err());
}

#[tokio::test]
async fn a_broker_of_ones_own_comes_back_with_what_was_durable_and_can_be_frozen() {
    let rabbit = rabbitmq::process().await.unwrap();
    let (_connection, channel) = client(&rabbit).await;
    for kind in ["classic", "quorum"] {
        declare(&channel, kind, kind).await;
        publish(&channel, kind).await;
    }
    let forgotten = QueueDeclareOptions::default();
    channel.queue_declare("passing".into(), forgotten, FieldTable::default()).await.unwrap();
    let pid = rabbit.pid().unwrap();
    rabbit.kill().await.unwrap();
    assert_eq!(rabbit.pid(), None);
    rabbit.kill().await.unwrap();
    rabbit.restart().await.unwrap();
    assert_ne!(rabbit.pid(), Some(pid));
    let kept = rabbit.queues().await.unwrap();
    assert_eq!(kept.keys().collect::<Vec<_>>(), ["classic", "quorum"]);
    assert!(kept.values().all(|queue| *queue == held(1, 0, 0)), "{kept:?}");

    let (_connection, channel) = client(&rabbit).await;
    rabbit.stop_process().await.unwrap();
    let frozen = tokio::time::timeout(Duration::from_millis(300), publish(&channel, "classic"));
    assert!(frozen.await.is_err(), "a frozen broker confirms nothing");
    rabbit.continue_process().await.unwrap();
    // What was sent to it meanwhile has arrived.
    rabbit.wait_for("classic", SOON, |queue| queue.ready == 2).await.unwrap();
}
