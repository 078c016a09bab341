//! One order over all of it, several at once, and what goes between.

use super::door::{Door, apart, arrived, to};
use super::scene::{Orders, Rows, Scene, delivery, found};
use grading::{Evidence, Finding, SOON};
use http::HeaderValue;
use observability::propagation::{self, Carrier, Peer, TRACEPARENT};
use opentelemetry::Context;
use opentelemetry::propagation::Extractor;
use opentelemetry::trace::{FutureExt, SpanKind, TraceContextExt, Tracer};
use opentelemetry_sdk::trace::Sampler;
use std::sync::Arc;
use testbed::gate::Gate;
use tracing::instrument::WithSubscriber;
use tracing::{Dispatch, Instrument};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;

pub(super) async fn one_order(scene: Scene) -> Result<(), Finding> {
    let (gateway, orders) = (scene.service("gateway"), Orders::in_scene(&scene));
    let inside = Door::new({
        let (gateway, orders) = (gateway.clone(), orders.door.clone());
        move |_| {
            let (gateway, orders) = (gateway.clone(), orders.clone());
            async move {
                gateway.ask(orders, to("POST", "/orders")).await?;
                Ok(http::Response::new(()))
            }
        }
    });
    let door = gateway.at(Peer::Stranger, Some("/checkout"), inside);
    scene.ask("customer", &door, to("POST", "/checkout"), &[]).await?;
    let row = orders.rows.take()?;

    let relay = scene.service("relay");
    let sent = apart(async move { relay.carries("orders", &row).await }).result().await??;
    for name in ["mail", "warehouse"] {
        scene.service(name).hears("orders", &sent).await?;
    }

    let book = &scene.book;
    let checkout = book.one("gateway", "POST /checkout").await?;
    let asks = book.one("gateway", "POST").await?;
    let places = book.one("orders", "POST /orders").await?;
    let creates = book.one("orders", "create orders").await?;
    let sends = book.one("relay", "send orders").await?;
    book.root(&checkout)?;
    book.child(&asks, &checkout)?;
    book.child(&places, &asks)?;
    book.child(&creates, &places)?;
    for name in ["mail", "warehouse"] {
        let works = book.one(name, "process orders").await?;
        book.child(&works, &creates)?;
        book.kind(&works, &SpanKind::Consumer)?;
    }
    book.links(&sends, &[creates.ids()])?;
    book.kind(&checkout, &SpanKind::Server)?;
    book.kind(&asks, &SpanKind::Client)?;
    book.kind(&creates, &SpanKind::Producer)?;
    book.kind(&sends, &SpanKind::Client)
}

pub(super) async fn two_orders(scene: Scene) -> Result<(), Finding> {
    let (service, rows) = (scene.service("orders"), Rows::default());
    let gate = Gate::shut();
    let inside = Door::after({
        let (service, rows, gate) = (service.clone(), rows.clone(), gate.clone());
        move |request| {
            let (service, rows, gate) = (service.clone(), rows.clone(), gate.clone());
            async move {
                let queue = if request.uri().path() == "/anna" { "anna's" } else { "ben's" };
                if queue == "anna's" {
                    gate.pass().await;
                }
                rows.push(service.writes(queue));
            }
        }
    });
    let door = service.at(Peer::Ours, None, inside);
    // Anna's waits before it writes; Ben's comes, writes and is answered in the meantime.
    let anna = scene.ask("anna", &door, to("POST", "/anna"), &[]);
    let ben = async {
        gate.arrived(1, SOON).await?;
        let answer = scene.ask("ben", &door, to("PUT", "/ben"), &[]).await;
        gate.open();
        answer
    };
    let (_, _) = tokio::try_join!(anna, ben)?;
    let mail = scene.service("mail");
    for queue in ["ben's", "anna's"] {
        mail.hears(queue, &rows.take()?).await?;
    }
    let book = &scene.book;
    for (name, queue) in [("PUT", "ben's"), ("POST", "anna's")] {
        let places = book.one("orders", name).await?;
        let creates = book.one("orders", &format!("create {queue}")).await?;
        let works = book.one("mail", &format!("process {queue}")).await?;
        book.root(&places)?;
        book.child(&creates, &places)?;
        book.child(&works, &creates)?;
    }
    Ok(())
}

pub(super) async fn relay_apart(scene: Scene) -> Result<(), Finding> {
    let orders = Orders::in_scene(&scene);
    let mut rows = Vec::new();
    for _ in 0..2 {
        rows.push(orders.order(&scene, &[]).await?);
    }
    // A row of before there were traces.
    rows.push(Carrier::default().to_json());
    // The relay's round, a span of its own, takes all three.
    let relay = scene.service("relay");
    let round = Context::new().with_span(relay.tracer.start_with_context("round", &Context::new()));
    let carried = apart({
        let (relay, rows) = (relay.clone(), rows.clone());
        let work = async move {
            let mut sent = Vec::new();
            for row in &rows {
                sent.push(relay.carries("orders", row).await?);
            }
            Ok::<_, Finding>(sent)
        };
        work.with_context(round.clone())
    });
    let sent = carried.result().await??;
    round.span().end();
    let mail = scene.service("mail");
    for bytes in &sent {
        mail.hears("orders", bytes).await?;
    }

    let book = &scene.book;
    let round = book.one("relay", "round").await?;
    let creates = book.all("orders", "create orders", 2).await?;
    let sends = book.all("relay", "send orders", 3).await?;
    let works = book.all("mail", "process orders", 3).await?;
    for (nth, created) in creates.iter().enumerate() {
        book.child(&works[nth], created)?;
        book.child(&sends[nth], &round)?;
        book.links(&sends[nth], &[created.ids()])?;
    }
    book.root(&works[2])?;
    book.links(&sends[2], &[])?;
    let parent =
        |bytes: &str| Carrier::from_json(bytes).get(TRACEPARENT.as_str()).map(str::to_owned);
    for (row, sent) in rows.iter().zip(&sent) {
        if parent(row) != parent(sent) {
            let told = |text: Option<String>| text.unwrap_or("no traceparent".to_owned());
            let expected = format!("{} sent as it was stored", told(parent(row)));
            return Err(Evidence::new(expected, told(parent(sent))).into());
        }
    }
    Ok(())
}

const RECORDED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const UNRECORDED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
/// Not recorded either: the last bit says that, whatever the others mean.
const OTHER_FLAGS: &str = "00-5bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-02";

pub(super) async fn unsampled(scene: Scene) -> Result<(), Finding> {
    let (gateway, orders) = (scene.service("gateway"), Orders::in_scene(&scene));
    let (told, seen) = (Rows::default(), Rows::default());
    let inside = Door::new({
        let (gateway, orders) = (gateway.clone(), orders.door.clone());
        let (told, seen) = (told.clone(), seen.clone());
        move |_| {
            let (gateway, told) = (gateway.clone(), told.clone());
            let orders = orders.clone();
            // What the next service is told, before it is.
            let listening = Door::new(move |request| {
                told.push(Carrier::of_headers(request.headers()));
                orders.ask(request)
            });
            seen.push(propagation::trace());
            async move {
                gateway.ask(listening, to("POST", "/orders")).await?;
                Ok(http::Response::new(()))
            }
        }
    });
    let door = gateway.at(Peer::Ours, Some("/checkout"), inside);
    let mail = scene.service("mail");
    for (said, flags, recorded) in [(UNRECORDED, "00", 0), (RECORDED, "01", 1)] {
        scene
            .ask("customer", &door, to("POST", "/checkout"), &[("traceparent", said.as_bytes())])
            .await?;
        let row = orders.rows.take()?;
        let trace = said[3..35].to_owned();
        let work = {
            let (seen, mail, messages) = (seen.clone(), mail.clone(), [delivery(&row, false)]);
            apart(async move {
                mail.works("orders", &messages, async move { seen.push(propagation::trace()) })
                    .await;
            })
        };
        work.result().await?;
        for (what, carrier) in
            [("told to the next service", told.take()?), ("stored", Carrier::from_json(&row))]
        {
            let text = carrier.get(TRACEPARENT.as_str()).unwrap_or("nothing").to_owned();
            let is_it = text.get(3..35) == Some(&trace) && text.get(53..) == Some(flags);
            if !is_it || text[36..52] == said[36..52] {
                let expected = format!("00-{trace}-(another span)-{flags} {what}");
                return Err(Evidence::new(expected, text).into());
            }
        }
        for place in ["gateway", "mail"] {
            let now = seen.take()?;
            if now.as_deref() != Some(&trace) {
                let saw = now.map_or("none".to_owned(), |now| scene.book.names.of(&now));
                let expected = format!("{} here and now in {place}", scene.book.names.of(&trace));
                return Err(Evidence::new(expected, saw).into());
            }
        }
        let spans = scene.book.spans();
        let of_trace: Vec<_> = spans.iter().filter(|span| span.trace == trace).collect();
        match (recorded, of_trace.first()) {
            (0, Some(span)) => {
                let expected = "no span of a trace that is not recorded";
                return Err(Evidence::new(expected, span.to_string()).at(span.step).into());
            }
            (1, None) => {
                return Err(Evidence::new("spans of a trace that is recorded", "none").into());
            }
            _ => {}
        }
    }
    let row = orders.order(&scene, &[("traceparent", OTHER_FLAGS.as_bytes())]).await?;
    let carrier = Carrier::from_json(&row);
    let text = carrier.get(TRACEPARENT.as_str()).unwrap_or("nothing");
    let flags = text.get(53..).and_then(|flags| u8::from_str_radix(flags, 16).ok());
    if text.get(3..35) != OTHER_FLAGS.get(3..35) || flags.is_none_or(|flags| flags & 1 == 1) {
        let expected = format!("the trace of {OTHER_FLAGS} stored, not recorded");
        return Err(Evidence::new(expected, text).into());
    }
    let spans = scene.book.spans();
    if let Some(span) = spans.iter().find(|span| span.trace == OTHER_FLAGS[3..35]) {
        let expected = format!("no span of {OTHER_FLAGS}, which is not recorded");
        return Err(Evidence::new(expected, span.to_string()).at(span.step).into());
    }
    // A service that decides against it, for all that follows.
    let quiet = scene.sampling("quiet", Sampler::AlwaysOff);
    let subject = Arc::clone(&quiet.subject);
    let row = apart(async move { subject.enqueue("orders").to_json() }).result().await?;
    let carrier = Carrier::from_json(&row);
    match carrier.get(TRACEPARENT.as_str()) {
        Some(text) if text.ends_with("-00") => {}
        other => {
            let saw = other.unwrap_or("nothing").to_owned();
            return Err(Evidence::new("a traceparent that ends with -00 stored", saw).into());
        }
    }
    let before = scene.book.spans().len();
    mail.hears("orders", &row).await?;
    match scene.book.spans().get(before) {
        None => Ok(()),
        Some(span) => {
            let expected = "no span of a trace that is not recorded";
            Err(Evidence::new(expected, span.to_string()).at(span.step).into())
        }
    }
}

/// The spans of `tracing` are read by the layer of OpenTelemetry; a filter that lets only warnings
/// pass leaves none of them.
pub(super) async fn between(scene: Scene) -> Result<(), Finding> {
    for (level, name) in [(LevelFilter::INFO, "gateway"), (LevelFilter::WARN, "quiet gateway")] {
        scene.world.history().turn_page();
        let (orders, gateway) = (Orders::in_scene(&scene), scene.service(name));
        let layer = tracing_opentelemetry::layer().with_tracer(gateway.tracer.clone());
        let subscriber = tracing_subscriber::registry().with(level).with(layer);
        let subject = Arc::clone(&gateway.subject);
        let inside = Door::new(move |_| {
            let (gateway, orders) = (gateway.clone(), orders.door.clone());
            let work = async move {
                gateway.ask(orders, to("PUT", "/orders")).await?;
                Ok(http::Response::new(()))
            };
            work.instrument(tracing::info_span!("places the order"))
        });
        let mut request = arrived(&to("POST", "/checkout"), Some("/checkout"));
        request.headers_mut().insert(TRACEPARENT, HeaderValue::from_static(RECORDED));
        // The subject is inside of the subscriber as well, if it makes spans of that kind.
        let serving = async move { subject.serve(Peer::Ours, inside, request).await };
        let served = apart(serving.with_subscriber(Dispatch::new(subscriber))).result().await?;
        served.map_err(found)?;

        let book = &scene.book;
        let checkout = book.one(name, "POST /checkout").await?;
        let asks = book.one(name, "PUT").await?;
        if checkout.parent != RECORDED[36..52] {
            let expected = format!("{checkout} as a child of the caller's span");
            let saw = match checkout.parent.is_empty() {
                true => "it without a parent",
                false => "it as a child of another span",
            };
            return Err(Evidence::new(expected, saw).at(checkout.step).into());
        }
        if level == LevelFilter::WARN {
            book.child(&asks, &checkout)?;
            continue;
        }
        let places = book.one(name, "places the order").await?;
        book.child(&places, &checkout)?;
        book.child(&asks, &places)?;
    }
    Ok(())
}
