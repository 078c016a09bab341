//! Messages that come again, several at once, or with a context that nobody can read.

use super::door::{apart, to};
use super::middle::carried;
use super::outside::{PLAIN, SPAN, TRACE, continues, new, odd};
use super::scene::{Orders, Rows, Scene, delivery};
use super::strangers::looping;
use grading::{Evidence, Finding};
use observability::propagation::{Carrier, Delivery, conventions};
use opentelemetry::propagation::Extractor;
use opentelemetry::trace::{FutureExt, SpanKind};
use testbed::gate::Gate;

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
    for again in [false, true, false] {
        // All of one tenant, as it happens.
        let headers: [(&str, &[u8]); 2] = [("traceparent", PLAIN), ("baggage", b"tenant=7")];
        messages.push(delivery(&orders.order(&scene, &headers).await?, again));
    }
    messages.push(Delivery::default());
    let book = &scene.book;
    let created = book.all("orders", "create orders", 3).await?;
    let ids: Vec<_> = created.iter().map(super::book::Ended::ids).collect();
    let stock = scene.service("warehouse");
    // All of them; then two, one of which nobody knows.
    for (nth, (messages, ids)) in
        [(&messages[..], &ids[..]), (&messages[2..], &ids[2..])].into_iter().enumerate()
    {
        let seen = Rows::default();
        let work = {
            let (stock, seen, messages) = (stock.clone(), seen.clone(), messages.to_vec());
            let context = looping(&stock);
            let work = async move { seen.push(carried()) };
            let work = async move { stock.works("orders", &messages, work).await };
            apart(work.with_context(context))
        };
        work.result().await?;
        let works = book.all("warehouse", "process orders", nth + 1).await?.swap_remove(nth);
        book.root(&works)?;
        book.links(&works, ids)?;
        book.kind(&works, &SpanKind::Consumer)?;
        if let Some(text) = seen.take()? {
            let expected = format!("no baggage in {works}, which is nobody's alone");
            return Err(Evidence::new(expected, text).at(works.step).into());
        }
        if nth == 0 {
            book.says(&works, conventions::REDELIVERED, "true")?;
        }
    }
    Ok(())
}

/// What a row says of this header, if that alone is odd.
fn row(name: &str, text: &str) -> Carrier {
    let plain = String::from_utf8_lossy(PLAIN).into_owned();
    let fields = [("traceparent".to_owned(), plain), (name.to_owned(), text.to_owned())];
    fields.into_iter().collect()
}

fn fields(carrier: &Carrier) -> String {
    let fields: Vec<String> = carrier.iter().map(|(name, text)| format!("{name} {text}")).collect();
    if fields.is_empty() { "nothing".to_owned() } else { fields.join(", ") }
}

pub(super) async fn from_rows(scene: Scene) -> Result<(), Finding> {
    let (relay, mail, book) = (scene.service("relay"), scene.service("mail"), &scene.book);
    // One of a later version, with more than we know; and those of which we know nothing.
    let next = format!("cc-{TRACE}-{SPAN}-01-more");
    let more = [("traceparent", &*next), ("tracestate", "congo=1"), ("baggage", "tenant=7;a=b")];
    let more = more.map(|(name, text)| (name.to_owned(), text.to_owned()));
    let mut rows = vec![(next, more.into_iter().collect::<Carrier>())];
    rows.extend(odd().into_iter().map(|text| (text.clone(), row("traceparent", &text))));
    for (nth, (text, stored)) in rows.into_iter().enumerate() {
        scene.world.history().turn_page();
        scene.world.history().note("relay", format!("a row says {text:?}"));
        let sent = relay.carries("orders", &stored.to_json()).await?;
        let sends = book.all("relay", "send orders", nth + 1).await?.swap_remove(nth);
        let carried = Carrier::from_json(&sent);
        if carried != stored {
            let expected = format!("sent as it was stored: {}", fields(&stored));
            return Err(Evidence::new(expected, fields(&carried)).at(sends.step).into());
        }
        mail.hears("orders", &sent).await?;
        let works = book.all("mail", "process orders", nth + 1).await?.swap_remove(nth);
        let links = if nth == 0 { vec![(TRACE.to_owned(), SPAN.to_owned())] } else { Vec::new() };
        if nth == 0 {
            continues(&works)?;
        } else {
            new(&works, &text)?;
        }
        book.links(&sends, &links)?;
        book.links(&works, &links)?;
    }
    let long = format!("tenant={}", "x".repeat(8193 - 7));
    let cases = [
        ("tracestate", "congo=1", true),
        ("tracestate", "congo=1,congo=2", false),
        ("baggage", "tenant=7", true),
        ("baggage", &long, false),
    ];
    let stock = scene.service("warehouse");
    for (nth, (name, text, kept)) in cases.into_iter().enumerate() {
        scene.world.history().turn_page();
        scene.world.history().note("warehouse", format!("a message says {name}: {text:.30}"));
        let (rows, messages) = (Rows::default(), [delivery(&row(name, text).to_json(), false)]);
        let work = {
            let (stock, rows) = (stock.clone(), rows.clone());
            let inner = stock.clone();
            let work = async move { rows.push(inner.subject.enqueue("parcels")) };
            apart(async move { stock.works("orders", &messages, work).await })
        };
        work.result().await?;
        continues(&book.all("warehouse", "process orders", nth + 1).await?[nth])?;
        let said = rows.take()?;
        if said.get(name).filter(|said| !said.is_empty()) != Some(text).filter(|_| kept) {
            let word = if kept { "passed on" } else { "dropped" };
            let saw = said.get(name).unwrap_or("none").to_owned();
            let expected = format!("{name}: {text:.30} {word}");
            return Err(Evidence::new(expected, format!("{saw:.40}")).into());
        }
    }
    Ok(())
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
