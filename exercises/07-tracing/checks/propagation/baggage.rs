//! What services tell each other besides the trace.

use super::door::apart;
use super::middle::{Middle, carried};
use super::outside::{PLAIN, continues};
use super::scene::{Rows, Scene, delivery};
use grading::{Evidence, Finding};
use observability::propagation::{BAGGAGE, Peer, TRACEPARENT};

pub(super) async fn baggage(scene: Scene) -> Result<(), Finding> {
    let orders = scene.service("orders");
    let middle = Middle::new(&orders, Peer::Ours, Peer::Ours);
    let mail = scene.service("mail");
    let most = format!("tenant={}", "x".repeat(8192 - 7));
    // Lines of a header, and what they say.
    let good: [(&[&str], &str); 5] = [
        (&["tenant=7"], "tenant=7"),
        (&["campaign=november,tenant=7;secret=no"], "campaign=november,tenant=7"),
        // Several lines are one list.
        (&["tenant=7", "campaign=november"], "campaign=november,tenant=7"),
        (&["tenant=J%C3%BCrgen%20%26%20Co%2C"], "tenant=Jürgen & Co,"),
        (&[&most], &most),
    ];
    for (lines, value) in good {
        let mut headers: Vec<(&str, &[u8])> = vec![("traceparent", PLAIN)];
        headers.extend(lines.iter().map(|line| ("baggage", line.as_bytes())));
        let (told, row) = middle.passes(&scene, &BAGGAGE, &headers).await?;
        let (seen, heard) = (Rows::default(), Rows::default());
        seen.push(middle.seen.take()?);
        // What was told is read again by whoever gets it: as a request, and as a message.
        let again = Middle::new(&orders, Peer::Ours, Peer::Ours);
        let told = told.join(",");
        let headers = [("traceparent", PLAIN), ("baggage", told.as_bytes())];
        again.passes(&scene, &BAGGAGE, &headers).await?;
        seen.push(again.seen.take()?);
        let mut message = delivery("{}", false);
        message.carrier = row
            .map(|text| (BAGGAGE.to_string(), text))
            .into_iter()
            .chain([(TRACEPARENT.to_string(), String::from_utf8_lossy(PLAIN).into_owned())])
            .collect();
        let work = {
            let (mail, heard) = (mail.clone(), heard.clone());
            apart(async move {
                let work = async move { heard.push(carried()) };
                mail.works("orders", &[message], work).await;
            })
        };
        work.result().await?;
        seen.push(heard.take()?);
        for place in ["in the service", "in the next one", "in the consumer"] {
            let saw = seen.take()?;
            if saw.as_deref() != Some(value) {
                let expected = format!("{value:.40} {place}");
                let saw = saw.map_or("no baggage".to_owned(), |saw| format!("{saw:.40}"));
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
    // It is not a part of the trace, and comes also from whoever is in none.
    let alone = Middle::new(&scene.service("stock"), Peer::Ours, Peer::Ours);
    let (told, _) = alone.passes(&scene, &BAGGAGE, &[("baggage", b"tenant=7")]).await?;
    match (alone.seen.take()?.as_deref(), &told[..]) {
        (Some("tenant=7"), [told]) if told == "tenant=7" => Ok(()),
        (seen, _) => {
            let saw = seen.unwrap_or("no baggage").to_owned();
            Err(Evidence::new("tenant=7, in a request without a traceparent", saw).into())
        }
    }
}
