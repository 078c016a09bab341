//! The proxy before a real RabbitMQ, with the client that the lessons use.

#![allow(clippy::unwrap_used)] // A test may stop at the first surprise, helpers included.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use lapin::message::{Delivery, DeliveryResult};
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicGetOptions, BasicPublishOptions,
    ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, PublisherConfirm};
use testbed::proxy::{Observation, Proxy};
use testbed::rabbitmq::private;
use tokio::sync::mpsc;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);
const ORDERS: &str = "orders";

async fn connect(url: &str) -> lapin::Result<Connection> {
    timeout(PATIENCE, Connection::connect(url, ConnectionProperties::default())).await.unwrap()
}

/// A channel on which publishes are confirmed, to a queue that is there.
async fn publisher(url: &str) -> (Connection, Channel) {
    let connection = connect(url).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(ORDERS.into(), durable, FieldTable::default()).await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    (connection, channel)
}

async fn publish(channel: &Channel, id: &str) -> lapin::Result<PublisherConfirm> {
    let properties = BasicProperties::default()
        .with_content_type("application/json".into())
        .with_headers(FieldTable::default())
        .with_message_id(id.into());
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let body = format!("body of {id}");
    channel.basic_publish("".into(), ORDERS.into(), options, body.as_bytes(), properties).await
}

/// Whether the broker has said that it has the message.
async fn is_confirmed(channel: &Channel, id: &str) -> bool {
    let Ok(confirm) = publish(channel, id).await else { return false };
    timeout(PATIENCE, confirm).await.unwrap().is_ok_and(|confirm| confirm.is_ack())
}

/// Takes a message out of the queue.
async fn get(channel: &Channel) -> Option<Delivery> {
    let options = BasicGetOptions::default();
    channel.basic_get(ORDERS.into(), options).await.unwrap().map(|message| message.delivery)
}

fn id(delivery: &Delivery) -> String {
    delivery.properties.message_id().as_ref().unwrap().to_string()
}

/// What the queue delivers, and the connection that must live for that.
async fn consumer(url: &str) -> (Connection, mpsc::UnboundedReceiver<Delivery>) {
    let connection = connect(url).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let consumer = channel
        .basic_consume(
            ORDERS.into(),
            "worker".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        )
        .await
        .unwrap();
    let (deliver, delivered) = mpsc::unbounded_channel();
    consumer.set_delegate(move |delivery: DeliveryResult| {
        if let Ok(Some(delivery)) = delivery {
            let _ = deliver.send(delivery);
        }
        std::future::ready(())
    });
    (connection, delivered)
}

async fn next(delivered: &mut mpsc::UnboundedReceiver<Delivery>) -> Option<Delivery> {
    timeout(PATIENCE, delivered.recv()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publish_that_is_cut_is_not_in_the_queue_and_one_whose_confirm_is_cut_is() {
    let broker = private().await.unwrap();
    let (_keep, reader) = publisher(broker.url()).await;
    let proxy = Proxy::before_rabbitmq(broker.url()).await.unwrap();

    let (_connection, channel) = publisher(proxy.url()).await;
    let cut = proxy.cut_request(|request| request.is("basic.publish") && request.mentions("m2"));
    assert!(is_confirmed(&channel, "m1").await);
    assert!(!is_confirmed(&channel, "m2").await);
    assert_eq!(cut.count(), 1);
    assert_eq!(id(&get(&reader).await.unwrap()), "m1");
    assert!(get(&reader).await.is_none());

    let (_connection, channel) = publisher(proxy.url()).await;
    let cut = proxy.cut_reply(|request| request.field("message-id") == Some("m4"));
    assert!(is_confirmed(&channel, "m3").await);
    assert!(!is_confirmed(&channel, "m4").await);
    assert_eq!(cut.count(), 1);
    assert_eq!(id(&get(&reader).await.unwrap()), "m3");
    assert_eq!(id(&get(&reader).await.unwrap()), "m4");

    let (_connection, channel) = publisher(proxy.url()).await;
    let cut = proxy.cut_from_server(|said| said.is("basic.ack"));
    assert!(!is_confirmed(&channel, "m5").await);
    assert_eq!(cut.count(), 1);
    assert_eq!(id(&get(&reader).await.unwrap()), "m5");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publish_that_is_held_is_not_in_the_queue_and_one_whose_confirm_is_held_is() {
    let broker = private().await.unwrap();
    let (_keep, reader) = publisher(broker.url()).await;
    let proxy = Proxy::before_rabbitmq(broker.url()).await.unwrap();
    let (_connection, channel) = publisher(proxy.url()).await;

    let gate = proxy.hold(|request| request.is("basic.publish"));
    let confirm = publish(&channel, "m1").await.unwrap();
    gate.arrived(1, PATIENCE).await.unwrap();
    assert!(get(&reader).await.is_none());
    gate.open();
    assert!(confirm.await.unwrap().is_ack());
    assert_eq!(id(&get(&reader).await.unwrap()), "m1");
    proxy.clear_rules();

    let gate = proxy.hold_from_server(|said| said.is("basic.ack"));
    let mut confirm = publish(&channel, "m2").await.unwrap();
    gate.arrived(1, PATIENCE).await.unwrap();
    // A client that does not wait for its confirms goes on.
    let last = publish(&channel, "m3").await.unwrap();
    let early = timeout(Duration::from_millis(20), &mut confirm).await;
    assert!(early.is_err(), "the confirm came through a gate that is shut");
    assert_eq!(id(&get(&reader).await.unwrap()), "m2");
    gate.open();
    assert!(confirm.await.unwrap().is_ack() && last.await.unwrap().is_ack());
    assert_eq!(proxy.counts().commands["basic.publish"], 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_done_is_delivered_again_when_its_acknowledgement_is_cut() {
    let broker = private().await.unwrap();
    let (_keep, channel) = publisher(broker.url()).await;
    let proxy = Proxy::before_rabbitmq(broker.url()).await.unwrap();
    let (_connection, mut delivered) = consumer(proxy.url()).await;
    let acknowledge =
        |delivery: Delivery| async move { delivery.ack(BasicAckOptions::default()).await };
    // The first passes: what passed before the cut has reached the broker.
    let cut = proxy.cut_request(|request| {
        request.is("basic.ack") && request.field("delivery-tag") == Some("2")
    });
    assert!(is_confirmed(&channel, "m1").await && is_confirmed(&channel, "m2").await);
    let (first, second) =
        (next(&mut delivered).await.unwrap(), next(&mut delivered).await.unwrap());
    assert_eq!((id(&first), id(&second), second.redelivered), ("m1".into(), "m2".into(), false));
    acknowledge(first).await.unwrap();
    let _ = acknowledge(second).await;
    assert!(next(&mut delivered).await.is_none(), "the connection is closed");
    assert_eq!(cut.count(), 1);

    let (_connection, mut delivered) = consumer(proxy.url()).await;
    let again = next(&mut delivered).await.unwrap();
    assert_eq!((id(&again), again.redelivered), ("m2".into(), true));
    acknowledge(again).await.unwrap();
    let counts = proxy.counts();
    assert_eq!(counts.from_server["basic.deliver"], 3);
    assert_eq!(counts.commands["basic.consume"], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_can_be_held_and_be_cut() {
    let broker = private().await.unwrap();
    let (_keep, channel) = publisher(broker.url()).await;
    let proxy = Proxy::before_rabbitmq(broker.url()).await.unwrap();
    let (_connection, mut delivered) = consumer(proxy.url()).await;
    let gate = proxy.hold_from_server(|said| said.is("basic.deliver") && said.mentions("m1"));
    assert!(is_confirmed(&channel, "m1").await);
    gate.arrived(1, PATIENCE).await.unwrap();
    assert!(delivered.try_recv().is_err());
    gate.open();
    assert_eq!(id(&next(&mut delivered).await.unwrap()), "m1");

    let cut = proxy.cut_from_server(|said| said.field("body") == Some("body of m2"));
    assert!(is_confirmed(&channel, "m2").await);
    assert!(next(&mut delivered).await.is_none(), "the connection is closed");
    assert_eq!(cut.count(), 1);
    let (_connection, mut delivered) = consumer(proxy.url()).await;
    // Nothing was acknowledged, so nothing is lost.
    for message in ["m1", "m2"] {
        let again = next(&mut delivered).await.unwrap();
        assert_eq!((id(&again).as_str(), again.redelivered), (message, true));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_comes_back_after_it_was_killed_or_refused() {
    let broker = private().await.unwrap();
    let proxy = Proxy::before_rabbitmq(broker.url()).await.unwrap();
    let (connection, channel) = publisher(proxy.url()).await;
    proxy.kill_connections();
    assert!(!is_confirmed(&channel, "m1").await);
    assert!(!connection.status().connected());

    let (_connection, channel) = publisher(proxy.url()).await;
    assert!(is_confirmed(&channel, "m2").await);
    proxy.refuse();
    assert!(!is_confirmed(&channel, "m3").await);
    assert!(connect(proxy.url()).await.is_err());
    proxy.accept().await.unwrap();
    let (_connection, channel) = publisher(proxy.url()).await;
    assert!(is_confirmed(&channel, "m4").await);

    proxy.stall();
    let mut confirm = publish(&channel, "m5").await.unwrap();
    assert!(timeout(Duration::from_millis(20), &mut confirm).await.is_err());
    proxy.resume();
    assert!(confirm.await.unwrap().is_ack());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_passes_is_counted_and_told() {
    let broker = private().await.unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let proxy = Proxy::observed_rabbitmq(broker.url(), {
        let told = Arc::clone(&told);
        move |observation| {
            told.lock().unwrap().push(match observation {
                Observation::Request { request, .. } => request.command,
                Observation::Reply { reply, .. } => format!("→ {reply}"),
                Observation::FromServer { said, .. } => format!("← {}", said.command),
                other => format!("{other:?}"),
            });
        }
    })
    .await
    .unwrap();
    let (_connection, channel) = publisher(proxy.url()).await;
    assert!(is_confirmed(&channel, "m1").await);
    let returned = channel
        .basic_publish(
            "".into(),
            "nowhere".into(),
            BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() },
            b"",
            BasicProperties::default(),
        )
        .await
        .unwrap();
    assert!(returned.await.unwrap().take_message().is_some());
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    assert!(channel.queue_declare("nowhere".into(), passive, FieldTable::default()).await.is_err());
    assert_eq!(
        *told.lock().unwrap(),
        [
            "queue.declare",
            "→ queue.declare-ok orders 0 0",
            "confirm.select",
            "→ confirm.select-ok",
            "basic.publish",
            "→ basic.ack 1",
            "basic.publish",
            "← basic.return",
            "→ basic.ack 2",
            "queue.declare",
            "→ channel.close 404 NOT_FOUND - no queue 'nowhere' in vhost 'VHOST'",
        ]
        .map(|line| line.replace("VHOST", broker.target().host())),
    );
    let counts = proxy.counts();
    assert_eq!((counts.requests, counts.round_trips), (5, 3));
    assert_eq!(counts.commands["basic.publish"], 2);
    assert_eq!(counts.from_server["basic.ack"], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_of_many_frames_is_one_request_and_arrives_whole() {
    let broker = private().await.unwrap();
    let proxy = Proxy::before_rabbitmq(broker.url()).await.unwrap();
    let (_connection, channel) = publisher(proxy.url()).await;
    proxy.reset_count();
    // RabbitMQ's frames hold 128 KiB at most.
    let body: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
    let options = BasicPublishOptions::default();
    let published =
        channel.basic_publish("".into(), ORDERS.into(), options, &body, BasicProperties::default());
    assert!(published.await.unwrap().await.unwrap().is_ack());
    assert!(get(&channel).await.unwrap().data == body);
    let counts = proxy.counts();
    assert_eq!((counts.requests, counts.commands["basic.get"]), (2, 1));
}
