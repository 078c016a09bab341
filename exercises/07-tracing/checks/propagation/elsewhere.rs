//! Where only bytes arrive: another process, and a real broker.

use super::book::{Ended, Keeps, Page};
use super::door::{Subject, apart};
use super::scene::{Orders, Scene, delivery, provider};
use futures_util::StreamExt;
use grading::{Child, Evidence, Finding, Process, SOON};
use lapin::options::QueueDeclareOptions;
use lapin::options::{BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable, LongString};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use observability::propagation::{Carrier, Delivery, Propagation, conventions};
use opentelemetry::global::BoxedTracer;
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::Sampler;
use std::sync::Arc;
use testbed::gate::Gate;

/// Tells the parent of each span that has ended.
#[derive(Debug)]
struct Out;

impl Keeps for Out {
    fn keep(&self, span: Ended) {
        if let Ok(text) = serde_json::to_string(&span) {
            Child::say(&text);
        }
    }
}

/// The second process: a consumer, which works on what it is told until it is told to end.
pub(super) async fn consumer<D: Propagation>(mut child: Child) {
    let provider = provider(Page { service: "mail", to: Out }, Sampler::AlwaysOn);
    let tracer = BoxedTracer::new(Box::new(provider.tracer("shop")));
    let subject: Arc<dyn Subject> = Arc::new(D::new(tracer));
    let (row, redelivered): (String, bool) = child.arguments();
    let messages = [delivery(&row, redelivered)];
    let work = Box::pin(async move {
        Child::say("works");
        child.hear().await;
    });
    subject.receive("orders", &messages, work).await;
}

/// It, up to its work.
async fn works(scene: &Scene, row: &str, redelivered: bool) -> Result<Process, Finding> {
    let mut process = scene.world.process(&(row, redelivered))?;
    process.expect("its word that it works", SOON).await?;
    scene.world.history().note("mail", "works on orders");
    Ok(process)
}

pub(super) async fn another_process(scene: Scene) -> Result<(), Finding> {
    let orders = Orders::in_scene(&scene);
    let row = orders.order(&scene, &[]).await?;
    let first = works(&scene, &row, false).await?;
    let band = scene.world.fault("mail is killed");
    first.kill().await?;
    drop(band);
    let mut second = works(&scene, &row, true).await?;
    second.say("end").await;
    let told = second.expect("its span", SOON).await?;
    let span: Ended = serde_json::from_str(&told)
        .map_err(|_| Evidence::new("its span", format!("{told:.60}")))?;
    let book = &scene.book;
    book.add(span);
    let attempt = book.one("mail", "process orders").await?;
    let created = book.one("orders", "create orders").await?;
    book.child(&attempt, &created)?;
    book.links(&attempt, &[created.ids()])?;
    book.says(&attempt, conventions::REDELIVERED, "true")
}

/// The check's own broker did not do what it was told.
fn own(error: &lapin::Error) -> Finding {
    Finding::inconclusive(format!("the broker failed the check itself: {error}"))
}

/// A connection with a queue.
async fn connected(url: &str) -> Result<(Connection, Channel), Finding> {
    let connection =
        Connection::connect(url, ConnectionProperties::default()).await.map_err(|e| own(&e))?;
    let channel = connection.create_channel().await.map_err(|e| own(&e))?;
    let options = QueueDeclareOptions { durable: true, ..Default::default() };
    let declared = channel.queue_declare("orders".into(), options, FieldTable::default()).await;
    declared.map_err(|e| own(&e))?;
    Ok((connection, channel))
}

/// The headers of an AMQP message are a table, of long strings among others.
fn table(carrier: &Carrier) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in carrier.iter() {
        table.insert(name.into(), AMQPValue::LongString(LongString::from(value)));
    }
    table
}

fn carrier(properties: &BasicProperties) -> Carrier {
    let table = properties.headers().iter().flat_map(FieldTable::inner);
    let texts = table.filter_map(|(name, value)| match value {
        AMQPValue::LongString(text) => Some((name.to_string(), text.to_string())),
        _ => None,
    });
    texts.collect()
}

/// The next message of a consumer of its own.
async fn next(channel: &Channel) -> Result<Delivery, Finding> {
    let options = BasicConsumeOptions::default();
    let consumer =
        channel.basic_consume("orders".into(), "".into(), options, FieldTable::default());
    let mut consumer = consumer.await.map_err(|e| own(&e))?;
    let message = tokio::time::timeout(SOON, consumer.next()).await;
    match message {
        Ok(Some(Ok(message))) => {
            Ok(Delivery { carrier: carrier(&message.properties), redelivered: message.redelivered })
        }
        _ => Err(Finding::inconclusive("the broker did not deliver")),
    }
}

pub(super) async fn over_amqp(scene: Scene) -> Result<(), Finding> {
    let orders = Orders::in_scene(&scene);
    let row = orders.order(&scene, &[]).await?;
    let url = scene.world.rabbit().await?.url().to_owned();
    let (_publisher, channel) = connected(&url).await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await.map_err(|e| own(&e))?;
    let relay = scene.service("relay");
    let publish = Box::new(move |carrier: Carrier| -> super::door::Later<()> {
        Box::pin(async move {
            let properties = BasicProperties::default().with_headers(table(&carrier));
            let options = BasicPublishOptions::default();
            let sent = channel.basic_publish("".into(), "orders".into(), options, b"7", properties);
            if let Ok(confirm) = sent.await {
                let _ = confirm.await;
            }
        })
    });
    let stored = Carrier::from_json(&row);
    let sending = async move { relay.subject.send("orders", stored, publish).await };
    apart(sending).result().await?;

    // The first consumer's connection ends in the middle of its work, and it has not acknowledged.
    let mail = scene.service("mail");
    let (connection, channel) = connected(&url).await?;
    let (message, gate) = (next(&channel).await?, Gate::shut());
    let mut first = tokio::spawn({
        let (mail, gate) = (mail.clone(), gate.clone());
        async move { mail.works("orders", &[message], async move { gate.pass().await }).await }
    });
    let came = grading::comes_to(&gate, &mut first).await;
    first.abort();
    came?;
    connection.close(200, "".into()).await.map_err(|e| own(&e))?;
    let book = &scene.book;
    let died = book.one("mail", "process orders").await?;
    let (_connection, channel) = connected(&url).await?;
    let message = next(&channel).await?;
    if !message.redelivered {
        return Err(Finding::inconclusive("the broker did not call it a redelivery"));
    }
    let second = mail.clone();
    apart(async move { second.works("orders", &[message], async {}).await }).result().await?;
    let created = book.one("orders", "create orders").await?;
    let attempts = book.all("mail", "process orders", 2).await?;
    for attempt in &attempts {
        book.child(attempt, &created)?;
    }
    match attempts.iter().find(|one| one.id != died.id) {
        Some(again) => book.says(again, conventions::REDELIVERED, "true"),
        None => Err(Evidence::new("two attempts as two spans", "one id for both").into()),
    }
}
