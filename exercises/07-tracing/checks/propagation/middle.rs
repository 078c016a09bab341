//! A service in the middle: what it knows of a request, and what it passes on.

use super::door::{Door, to};
use super::scene::{Rows, Scene, Service};
use grading::Finding;
use http::{HeaderMap, HeaderName};
use observability::propagation::{Carrier, Peer};
use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt;
use opentelemetry::propagation::Extractor;
use std::sync::Arc;

/// The baggage of here and now, in order.
pub(super) fn carried() -> Option<String> {
    let context = Context::current();
    let all = context.baggage().iter();
    let mut all: Vec<String> = all.map(|(key, (value, _))| format!("{key}={value}")).collect();
    all.sort();
    (!all.is_empty()).then(|| all.join(","))
}

/// A service that asks another, and what it tells there and writes into its row.
pub(super) struct Middle {
    door: Door,
    told: Rows<HeaderMap>,
    rows: Rows<Carrier>,
    /// The baggage inside.
    pub(super) seen: Rows<Option<String>>,
}

impl Middle {
    pub(super) fn new(service: &Service, caller: Peer, callee: Peer) -> Middle {
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
                seen.push(carried());
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
    pub(super) async fn passes(
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
