//! Those who decide nothing: strangers, and whatever is current where something comes in.

use super::door::{Door, Later, apart, arrived, to};
use super::middle::{Middle, carried};
use super::outside::{PLAIN, SPAN, TRACE, new};
use super::scene::{Rows, Scene, Service, delivery};
use grading::{Evidence, Finding};
use http::HeaderValue;
use observability::propagation::{BAGGAGE, Delivery, Peer, TRACEPARENT, TRACESTATE};
use opentelemetry::baggage::BaggageExt;
use opentelemetry::trace::{FutureExt, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue};
use std::sync::{Mutex, PoisonError};

const NOBODY: &[u8] = b"00-00000000000000000000000000000000-b7ad6b7169203331-01";
const UNRECORDED: &[u8] = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

pub(super) async fn strangers(scene: Scene) -> Result<(), Finding> {
    let gateway = scene.service("gateway");
    let inward = Middle::new(&gateway, Peer::Stranger, Peer::Ours);
    let headers: [(&str, &[u8]); 3] =
        [("traceparent", PLAIN), ("tracestate", b"theirs=1"), ("baggage", b"tenant=everybody")];
    let (told, row) = inward.passes(&scene, &BAGGAGE, &headers).await?;
    if let Some(text) = told.into_iter().chain(row).chain(inward.seen.take()?).next() {
        return Err(Evidence::new("a stranger's baggage left at the door", text).into());
    }
    let (told, row) = inward.passes(&scene, &TRACESTATE, &headers).await?;
    inward.seen.take()?;
    if let Some(text) = told.into_iter().chain(row).next() {
        return Err(Evidence::new("a stranger's tracestate left at the door", text).into());
    }
    for span in scene.book.all("gateway", "POST /orders", 2).await? {
        new(&span, "a stranger's")?;
        scene.book.links(&span, &[(TRACE.to_owned(), SPAN.to_owned())])?;
    }
    // Of what cannot be read there is nothing to link to, and nothing else is believed instead.
    let headers: [(&str, &[u8]); 2] = [("traceparent", NOBODY), ("baggage", b"tenant=everybody")];
    for (nth, headers) in [(2, &headers[..]), (3, &headers[1..])] {
        let (told, row) = inward.passes(&scene, &BAGGAGE, headers).await?;
        if let Some(text) = told.into_iter().chain(row).chain(inward.seen.take()?).next() {
            return Err(Evidence::new("a stranger's baggage left at the door", text).into());
        }
        let spans = scene.book.all("gateway", "POST /orders", nth + 1).await?;
        scene.book.links(&spans[nth], &[])?;
    }
    // Nor do they decide that nothing is recorded.
    let street = Middle::new(&scene.service("street"), Peer::Stranger, Peer::Ours);
    street.passes(&scene, &BAGGAGE, &[("traceparent", UNRECORDED)]).await?;
    let span = scene.book.one("street", "POST /orders").await?;
    new(&span, "a stranger's")?;
    scene.book.links(&span, &[(TRACE.to_owned(), SPAN.to_owned())])?;
    // And the other way: what a stranger is told. It was copied along, too.
    let payments = scene.service("payments");
    let outward = Middle::new(&payments, Peer::Ours, Peer::Stranger);
    let headers: [(&str, &[u8]); 2] = [("traceparent", PLAIN), ("baggage", b"tenant=7")];
    let (told, _) = outward.passes(&scene, &BAGGAGE, &headers).await?;
    if let Some(text) = told.into_iter().next() {
        return Err(Evidence::new("no baggage told to a stranger", text).into());
    }
    let (told, _) = outward.passes(&scene, &TRACEPARENT, &headers).await?;
    let asks = scene.book.all("payments", "GET", 2).await?;
    match &told[..] {
        [line] if line.contains(&asks[1].id) => {}
        lines => {
            let expected = format!("the id of {} told to the stranger", asks[1]);
            return Err(Evidence::new(expected, lines.join(", and ")).at(asks[1].step).into());
        }
    }
    let (told, _) = outward.passes(&scene, &TRACEPARENT, &[("traceparent", UNRECORDED)]).await?;
    match &told[..] {
        [line] if line.contains(TRACE) && line.ends_with("-00") => Ok(()),
        lines => {
            let expected = "a trace that is not recorded told to the stranger, as such";
            Err(Evidence::new(expected, lines.join(", and ")).into())
        }
    }
}

/// A service's own loop: a span, and a tenant that is nobody's here.
pub(super) fn looping(service: &Service) -> Context {
    let span = service.tracer.start_with_context("loop", &Context::new());
    Context::new().with_baggage([KeyValue::new("tenant", "of the loop")]).with_span(span)
}

/// Comes in, and is worked on.
type Comes = fn(&Service, Later<()>) -> Later<()>;

fn requested(
    service: &Service,
    work: Later<()>,
    peer: Peer,
    header: Option<&'static str>,
) -> Later<()> {
    let work = Mutex::new(Some(work));
    let inside = Door::after(move |_| {
        let work = work.lock().unwrap_or_else(PoisonError::into_inner).take();
        async move {
            if let Some(work) = work {
                work.await;
            }
        }
    });
    let mut request = arrived(&to("POST", "/orders"), None);
    if let Some(text) = header {
        request.headers_mut().insert(TRACEPARENT, HeaderValue::from_static(text));
    }
    let serving = service.subject.serve(peer, inside, request);
    Box::pin(async move { drop(serving.await) })
}

const COMES: [(&str, &str, Comes); 6] = [
    ("a request without a trace", "POST", |service, work| {
        requested(service, work, Peer::Ours, None)
    }),
    ("a request with a trace that is none", "POST", |service, work| {
        requested(service, work, Peer::Ours, Some("00-7-7-01"))
    }),
    ("a stranger's request", "POST", |service, work| {
        requested(service, work, Peer::Stranger, None)
    }),
    ("a message without a context", "process orders", |service, work| {
        service.subject.receive("orders", &[Delivery::default()], work)
    }),
    ("two messages", "process orders", |service, work| {
        service.subject.receive("orders", &[Delivery::default(), Delivery::default()], work)
    }),
    ("an empty batch", "process orders", |service, work| {
        service.subject.receive("orders", &[], work)
    }),
];

pub(super) async fn nobodys(scene: Scene) -> Result<(), Finding> {
    for (what, name, comes) in COMES {
        scene.world.history().turn_page();
        scene.world.history().note("orders", format!("in its loop: {what}"));
        let (service, seen) = (scene.service("orders"), Rows::default());
        let before = scene.book.spans().iter().filter(|span| span.name == name).count();
        let coming = {
            let (service, seen) = (service.clone(), seen.clone());
            async move { comes(&service, Box::pin(async move { seen.push(carried()) })).await }
        };
        apart(coming.with_context(looping(&service))).result().await?;
        let span = scene.book.all("orders", name, before + 1).await?.swap_remove(before);
        scene.book.root(&span)?;
        scene.book.links(&span, &[])?;
        if let Some(text) = seen.take()? {
            let expected = format!("no baggage in {span}, for {what}");
            return Err(Evidence::new(expected, text).at(span.step).into());
        }
    }
    // A message that has a trace, and no baggage.
    let (mail, seen) = (scene.service("mail"), Rows::default());
    let row = scene.service("orders").writes("orders");
    let coming = {
        let (mail, seen) = (mail.clone(), seen.clone());
        let work = async move { seen.push(carried()) };
        async move { mail.works("orders", &[delivery(&row, false)], work).await }
    };
    apart(coming.with_context(looping(&mail))).result().await?;
    match seen.take()? {
        None => Ok(()),
        Some(text) => Err(Evidence::new("a message's baggage, which is none", text).into()),
    }
}
