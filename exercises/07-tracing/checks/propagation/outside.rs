//! What comes from outside, and how much of it is believed.

use super::book::Ended;
use super::door::{Door, to};
use super::scene::{Orders, Rows, Scene, Service};
use grading::{Evidence, Finding};
use http::{HeaderMap, HeaderName};
use observability::propagation::{BAGGAGE, Carrier, Peer, TRACEPARENT, TRACESTATE};
use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt;
use opentelemetry::propagation::Extractor;
use std::sync::Arc;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";
const NOBODY: &[u8] = b"00-00000000000000000000000000000000-b7ad6b7169203331-01";
const PLAIN: &[u8] = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// What a request with these headers leaves: the span of the service.
async fn served(
    scene: &Scene,
    orders: &Orders,
    nth: usize,
    headers: &[(&str, &[u8])],
) -> Result<Ended, Finding> {
    scene.world.history().turn_page();
    for (name, value) in headers {
        let text: String = String::from_utf8_lossy(value).chars().take(60).collect();
        scene.world.history().note("customer", format!("{name}: {text:?}"));
    }
    orders.order(scene, headers).await?;
    let spans = scene.book.all("orders", "POST /orders", nth + 1).await?;
    Ok(spans[nth].clone())
}

fn continues(span: &Ended) -> Result<(), Finding> {
    if span.trace == TRACE && span.parent == SPAN {
        return Ok(());
    }
    let saw = if span.parent.is_empty() { "a trace of its own" } else { "another trace" };
    Err(Evidence::new(format!("{span} as a child of what was sent"), saw).at(span.step).into())
}

pub(super) async fn believed(scene: Scene) -> Result<(), Finding> {
    let orders = Orders::in_scene(&scene);
    let good = [
        String::from_utf8_lossy(PLAIN).into_owned(),
        // Flags that we do not know yet.
        format!("00-{TRACE}-{SPAN}-03"),
        format!("00-{TRACE}-{SPAN}-ff"),
        // A later version begins like this one, and may go on.
        format!("01-{TRACE}-{SPAN}-01"),
        format!("cc-{TRACE}-{SPAN}-01-what-the-future-brings"),
        format!("fe-{TRACE}-{SPAN}-01-"),
    ];
    for (nth, text) in good.iter().enumerate() {
        let span = served(&scene, &orders, nth, &[("traceparent", text.as_bytes())]).await?;
        continues(&span)?;
    }
    Ok(())
}

pub(super) async fn odd_ones(scene: Scene) -> Result<(), Finding> {
    let orders = Orders::in_scene(&scene);
    let zeros = ["0".repeat(32), "0".repeat(16)];
    let [no_trace, no_span] = &zeros;
    let odd = [
        String::new(),
        "00".to_owned(),
        // Version ff is forbidden, and this one has nothing behind the flags.
        format!("ff-{TRACE}-{SPAN}-01"),
        format!("00-{TRACE}-{SPAN}-01-"),
        format!("00-{TRACE}-{SPAN}-01-more"),
        format!("00-{TRACE}-{SPAN}-011"),
        format!("01-{TRACE}-{SPAN}-01more"),
        format!("00-{no_trace}-{SPAN}-01"),
        format!("00-{TRACE}-{no_span}-01"),
        format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
        format!("00-{TRACE}-{}-01", SPAN.to_uppercase()),
        format!("00-{TRACE}-{SPAN}-0A"),
        // Too short, too long, and at the wrong places.
        format!("00-{}-{SPAN}-01", &TRACE[2..]),
        format!("00-{TRACE}-{}-01", &SPAN[1..]),
        format!("00-{TRACE}0-{}-01", &SPAN[1..]),
        format!("0-{TRACE}-{SPAN}-01"),
        format!("00-{TRACE}-{SPAN}-1"),
        format!("00_{TRACE}_{SPAN}_01"),
        // Numbers for a parser of numbers.
        format!("00-+{}-{SPAN}-01", &TRACE[1..]),
        format!("+0-{TRACE}-{SPAN}-01"),
        format!("00-{TRACE}-{SPAN}-+1"),
        format!("0g-{TRACE}-{SPAN}-01"),
        format!("00-{TRACE}-é{}-01", &SPAN[2..]),
    ];
    for (nth, text) in odd.iter().enumerate() {
        let span = served(&scene, &orders, nth, &[("traceparent", text.as_bytes())]).await?;
        new(&span, text)?;
    }
    // Of two, this service would believe the first, and the next one the last.
    let other = format!("00-{}-{SPAN}-01", TRACE.replace('0', "1"));
    let two = [("traceparent", PLAIN), ("traceparent", other.as_bytes())];
    let span = served(&scene, &orders, odd.len(), &two).await?;
    new(&span, "one of two")
}

/// It is a root, and not of a trace that was sent.
fn new(span: &Ended, sent: &str) -> Result<(), Finding> {
    if span.parent.is_empty() && span.trace != TRACE {
        return Ok(());
    }
    let expected = format!("{span} in a new trace");
    Err(Evidence::new(expected, format!("{sent} is believed")).at(span.step).into())
}

/// A service that asks another, and what it tells there and writes into its row.
struct Middle {
    door: Door,
    told: Rows<HeaderMap>,
    rows: Rows<Carrier>,
    seen: Rows<Option<String>>,
}

impl Middle {
    fn new(service: &Service, caller: Peer, callee: Peer) -> Middle {
        let (told, rows, seen) = (Rows::default(), Rows::default(), Rows::default());
        let next = Door::after({
            let told = told.clone();
            move |request| {
                told.push(request.headers().clone());
                std::future::ready(())
            }
        });
        let inside = Door::new({
            let (service, rows, seen) = (service.clone(), rows.clone(), seen.clone());
            move |came| {
                let baggage = Context::current().baggage().get("tenant").map(ToString::to_string);
                seen.push(baggage);
                let (subject, rows) = (Arc::clone(&service.subject), rows.clone());
                let next = next.clone();
                async move {
                    rows.push(subject.enqueue("orders"));
                    let mut request = to("GET", "/stock");
                    // Whoever passes requests on copies all headers.
                    *request.headers_mut() = came.headers().clone();
                    subject.ask(callee, next, request).await
                }
            }
        });
        let door = service.at(caller, Some("/orders"), inside);
        Middle { door, told, rows, seen }
    }

    /// All that is told of this header, in the request and in the row.
    async fn passes(
        &self,
        scene: &Scene,
        name: &HeaderName,
        headers: &[(&str, &[u8])],
    ) -> Result<(Vec<String>, Option<String>), Finding> {
        scene.world.history().turn_page();
        for (name, value) in headers {
            let text: String = String::from_utf8_lossy(value).chars().take(40).collect();
            let text = format!("{name}: {text:?}, {} bytes", value.len());
            scene.world.history().note("customer", text);
        }
        scene.ask("customer", &self.door, to("POST", "/orders"), headers).await?;
        let lines = self.told.take()?;
        let lines = lines.get_all(name).iter();
        let lines = lines.map(|line| String::from_utf8_lossy(line.as_bytes()).into_owned());
        let row = self.rows.take()?.get(name.as_str()).map(str::to_owned);
        Ok((lines.collect(), row.filter(|text| !text.is_empty())))
    }
}

fn members(text: &str) -> Vec<&str> {
    text.split(',').map(str::trim).collect()
}

pub(super) async fn tracestate(scene: Scene) -> Result<(), Finding> {
    let middle = Middle::new(&scene.service("orders"), Peer::Ours, Peer::Ours);
    let list = |count: usize| -> String {
        (0..count).map(|nth| format!("k{nth}=v")).collect::<Vec<_>>().join(",")
    };
    // As long as W3C asks for at least; a value may have 256 letters.
    let value = |letters: usize| "x".repeat(letters);
    let long = format!("a={},b={},c={}", value(200), value(200), value(512 - 408));
    let kept = [
        vec!["congo=t61rcWkgMzE".to_owned()],
        vec!["rojo=00f067aa0ba902b7 , congo=t61".to_owned()],
        vec!["rojo=1".to_owned(), "7up@shop/eu=a b".to_owned()],
        vec![list(32)],
        vec![long],
    ];
    for lines in &kept {
        let mut headers: Vec<(&str, &[u8])> = vec![("traceparent", PLAIN)];
        headers.extend(lines.iter().map(|line| ("tracestate", line.as_bytes())));
        let (told, row) = middle.passes(&scene, &TRACESTATE, &headers).await?;
        let sent = lines.join(",");
        for (what, text) in [("told", Some(told.join(","))), ("stored", row)] {
            let text = text.unwrap_or_default();
            if members(&text) != members(&sent) {
                let expected = format!("all {} members {what}", members(&sent).len());
                return Err(Evidence::new(expected, format!("{text:.60}")).into());
            }
        }
    }
    let dropped = [
        list(33),
        "congo=1,congo=2".to_owned(),
        "Congo=1".to_owned(),
        "congo".to_owned(),
        "congo=1,=2".to_owned(),
        "congo=1=2".to_owned(),
    ];
    for line in &dropped {
        let headers = [("traceparent", PLAIN), ("tracestate", line.as_bytes())];
        let (told, row) = middle.passes(&scene, &TRACESTATE, &headers).await?;
        if let Some(text) = told.into_iter().chain(row).next() {
            return Err(Evidence::new("no tracestate passed on", format!("{text:.60}")).into());
        }
    }
    for span in scene.book.all("orders", "POST /orders", kept.len() + dropped.len()).await? {
        continues(&span)?;
    }
    // It belongs to a traceparent, and means nothing without.
    let (told, row) = middle.passes(&scene, &TRACESTATE, &[("tracestate", b"congo=1")]).await?;
    match told.into_iter().chain(row).next() {
        None => Ok(()),
        Some(text) => {
            Err(Evidence::new("no tracestate passed on without its traceparent", text).into())
        }
    }
}

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
    if let Some(text) = told.into_iter().chain(row).next() {
        return Err(Evidence::new("a stranger's tracestate left at the door", text).into());
    }
    for span in scene.book.all("gateway", "POST /orders", 2).await? {
        new(&span, "a stranger's")?;
        scene.book.links(&span, &[(TRACE.to_owned(), SPAN.to_owned())])?;
    }
    // Of what cannot be read there is nothing to link to.
    let headers: [(&str, &[u8]); 1] = [("traceparent", NOBODY)];
    inward.passes(&scene, &BAGGAGE, &headers).await?;
    let spans = scene.book.all("gateway", "POST /orders", 3).await?;
    scene.book.links(&spans[2], &[])?;
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
        [line] if line.contains(&asks[1].id) => Ok(()),
        lines => {
            let expected = format!("the id of {} told to the stranger", asks[1]);
            Err(Evidence::new(expected, lines.join(", and ")).at(asks[1].step).into())
        }
    }
}

pub(super) async fn baggage(scene: Scene) -> Result<(), Finding> {
    let orders = scene.service("orders");
    let middle = Middle::new(&orders, Peer::Ours, Peer::Ours);
    let mail = scene.service("mail");
    let most = format!("tenant={}", "x".repeat(8192 - 7));
    let good: [(&str, &str); 4] = [
        ("tenant=7", "7"),
        ("campaign=november,tenant=7;secret=no", "7"),
        ("tenant=J%C3%BCrgen%20%26%20Co%2C", "Jürgen & Co,"),
        (&most, &most[7..]),
    ];
    for (sent, value) in good {
        let headers = [("traceparent", PLAIN), ("baggage", sent.as_bytes())];
        let (told, row) = middle.passes(&scene, &BAGGAGE, &headers).await?;
        let (seen, heard) = (Rows::default(), Rows::default());
        seen.push(middle.seen.take()?);
        // What was told is read again by whoever gets it: as a request, and as a message.
        let again = Middle::new(&orders, Peer::Ours, Peer::Ours);
        let told = told.join(",");
        let headers = [("traceparent", PLAIN), ("baggage", told.as_bytes())];
        again.passes(&scene, &BAGGAGE, &headers).await?;
        seen.push(again.seen.take()?);
        let mut message = super::scene::delivery("{}", false);
        message.carrier = row
            .map(|text| (BAGGAGE.to_string(), text))
            .into_iter()
            .chain([(TRACEPARENT.to_string(), String::from_utf8_lossy(PLAIN).into_owned())])
            .collect();
        let work = {
            let (mail, heard) = (mail.clone(), heard.clone());
            super::door::apart(async move {
                let work = async move {
                    let baggage = Context::current();
                    heard.push(baggage.baggage().get("tenant").map(ToString::to_string));
                };
                mail.works("orders", &[message], work).await;
            })
        };
        work.result().await?;
        seen.push(heard.take()?);
        for place in ["in the service", "in the next one", "in the consumer"] {
            let saw = seen.take()?;
            if saw.as_deref() != Some(value) {
                let expected = format!("the tenant {value:.30} {place}");
                let saw = saw.map_or("none".to_owned(), |saw| format!("{saw:.30}"));
                return Err(Evidence::new(expected, saw).into());
            }
        }
    }
    let many = format!("tenant=7,filler={}", "x".repeat(8193 - 16));
    for sent in [many.as_str(), "tenant", "=7", ""] {
        let headers = [("traceparent", PLAIN), ("baggage", sent.as_bytes())];
        let (told, row) = middle.passes(&scene, &BAGGAGE, &headers).await?;
        if let Some(text) = told.into_iter().chain(row).chain(middle.seen.take()?).next() {
            let saw = format!("{} bytes: {text:.30}", text.len());
            return Err(Evidence::new("no baggage passed on", saw).into());
        }
    }
    let count = good.len() * 2 + 4;
    for span in scene.book.all("orders", "POST /orders", count).await? {
        continues(&span)?;
    }
    Ok(())
}
