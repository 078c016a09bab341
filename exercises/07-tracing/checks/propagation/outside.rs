//! What comes from outside, and how much of it is believed.

use super::book::Ended;
use super::middle::Middle;
use super::scene::{Orders, Scene};
use grading::{Evidence, Finding};
use observability::propagation::{Peer, TRACESTATE};

pub(super) const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
pub(super) const SPAN: &str = "b7ad6b7169203331";
pub(super) const PLAIN: &[u8] = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

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

pub(super) fn continues(span: &Ended) -> Result<(), Finding> {
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

/// What W3C does not allow.
pub(super) fn odd() -> Vec<String> {
    let zeros = ["0".repeat(32), "0".repeat(16)];
    let [no_trace, no_span] = &zeros;
    vec![
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
        format!("CC-{TRACE}-{SPAN}-01"),
        format!("00-{TRACE}-é{}-01", &SPAN[2..]),
    ]
}

pub(super) async fn odd_ones(scene: Scene) -> Result<(), Finding> {
    let (orders, odd) = (Orders::in_scene(&scene), odd());
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
pub(super) fn new(span: &Ended, sent: &str) -> Result<(), Finding> {
    if span.parent.is_empty() && span.trace != TRACE {
        return Ok(());
    }
    let expected = format!("{span} in a new trace");
    Err(Evidence::new(expected, format!("{sent} is believed")).at(span.step).into())
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
        format!("a={},b={},c={}", value(200), value(200), value(513 - 408)),
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
