//! Messages that come again, several at once, or with a context that nobody can read.

use super::door::{apart, to};
use super::scene::{Orders, Rows, Scene, Service, delivery};
use grading::{Evidence, Finding};
use observability::propagation::{Carrier, Delivery, conventions};
use opentelemetry::Context;
use opentelemetry::trace::{FutureExt, SpanKind, TraceContextExt, Tracer};
use testbed::gate::Gate;

/// A consumer's own span, around all that it does.
fn looping(consumer: &Service) -> Context {
    let span = consumer.tracer.start_with_context("loop", &Context::new());
    Context::new().with_span(span)
}

pub(super) async fn redelivered(scene: Scene) -> Result<(), Finding> {
    let orders = Orders::in_scene(&scene);
    let row = orders.order(&scene, &[]).await?;
    let mail = scene.service("mail");
    let gate = Gate::shut();
    // The first attempt is dropped in the middle: its consumer has died.
    let mut first = tokio::spawn({
        let (mail, messages, gate) = (mail.clone(), [delivery(&row, false)], gate.clone());
        async move { mail.works("orders", &messages, async move { gate.pass().await }).await }
    });
    let came = grading::comes_to(&gate, &mut first).await;
    first.abort();
    came?;
    let book = &scene.book;
    let died = book.one("mail", "process orders").await?;
    // The second is in a loop that has a span of its own.
    let second = {
        let (mail, messages) = (mail.clone(), [delivery(&row, true)]);
        let context = looping(&mail);
        let work = async move { mail.works("orders", &messages, async {}).await };
        apart(work.with_context(context))
    };
    second.result().await?;
    let attempts = book.all("mail", "process orders", 2).await?;
    let created = book.one("orders", "create orders").await?;
    let Some(again) = attempts.iter().find(|one| one.id != died.id) else {
        let expected = "two attempts as two spans";
        return Err(Evidence::new(expected, "one id for both").at(died.step).into());
    };
    book.child(&died, &created)?;
    book.child(again, &created)?;
    for attempt in [&died, again] {
        book.links(attempt, &[created.ids()])?;
    }
    book.says(again, conventions::REDELIVERED, "true")?;
    match died.says.get(conventions::REDELIVERED).is_some_and(|said| said == "true") {
        false => Ok(()),
        true => {
            let expected = format!("{} only at the second attempt", conventions::REDELIVERED);
            Err(Evidence::new(expected, "at both").at(died.step).into())
        }
    }
}

pub(super) async fn batch(scene: Scene) -> Result<(), Finding> {
    let orders = Orders::in_scene(&scene);
    let mut messages = Vec::new();
    for _ in 0..3 {
        messages.push(delivery(&orders.order(&scene, &[]).await?, false));
    }
    messages.push(Delivery::default());
    let stock = scene.service("warehouse");
    let work = {
        let (stock, context) = (stock.clone(), looping(&stock));
        let work = async move { stock.works("orders", &messages, async {}).await };
        apart(work.with_context(context))
    };
    work.result().await?;
    let book = &scene.book;
    let works = book.one("warehouse", "process orders").await?;
    let created = book.all("orders", "create orders", 3).await?;
    book.root(&works)?;
    let ids: Vec<_> = created.iter().map(super::book::Ended::ids).collect();
    book.links(&works, &ids)?;
    book.kind(&works, &SpanKind::Consumer)
}

pub(super) async fn garbled(scene: Scene) -> Result<(), Finding> {
    let odd = [
        "",
        "null",
        "{",
        r#"{"traceparent":17}"#,
        r#"{"traceparent":""}"#,
        r#"{"traceparent":"-"}"#,
        r#"{"traceparent":"00-0af7651916cd43dd8448eb211c80319c"}"#,
        r#"{"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-zz"}"#,
        r#"{"traceparent":"00-0af7651916cd43dd8448eb211c803é9c-b7ad6b7169203331-01"}"#,
        r#"{"traceparent":"\u0000\r\nx: y","tracestate":"=","baggage":"%ff=%ff;=,,"}"#,
    ];
    let mail = scene.service("mail");
    for (nth, text) in odd.into_iter().enumerate() {
        scene.world.history().turn_page();
        scene.world.history().note("mail", format!("a message comes with {}", cut(text)));
        let done = Rows::default();
        let work = {
            let (mail, done, messages) = (mail.clone(), done.clone(), [delivery(text, false)]);
            apart(async move {
                let inner = mail.clone();
                let work = async move { done.push(inner.subject.enqueue("receipts").to_json()) };
                mail.works("orders", &messages, work).await;
            })
        };
        work.result().await?;
        let row = done.take()?;
        let book = &scene.book;
        let works = book.all("mail", "process orders", nth + 1).await?.swap_remove(nth);
        let creates = book.all("mail", "create receipts", nth + 1).await?.swap_remove(nth);
        book.root(&works)?;
        book.links(&works, &[])?;
        book.child(&creates, &works)?;
        // What goes on from there is a header again, without what it was made of.
        let mut request = to("GET", "/");
        Carrier::from_json(&row).tell(request.headers_mut());
        if request.headers().get("baggage").is_some_and(|baggage| baggage.len() > 100) {
            return Err(Evidence::new("no baggage", "what could not be read").into());
        }
    }
    Ok(())
}

fn cut(text: &str) -> String {
    let shown: String = text.chars().take(30).collect();
    format!("{shown:?}")
}
