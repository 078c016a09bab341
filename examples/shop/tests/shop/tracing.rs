//! One checkout is one trace, from the street to whoever heard of it.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use observability::spans::{Finished, Kind};
use observability::telemetry::Recent;
use serde_json::json;
use shop_bus::Subscription;
use tokio::time::{Instant, sleep, timeout};

use crate::open::Open;

const LONG: Duration = Duration::from_secs(20);

fn recent(open: &Open) -> &Recent {
    open.shop.telemetry.as_ref().expect("it is recorded").recent()
}

/// The newest trace that began at the street with this, as soon as it is `whole`.
async fn trace(open: &Open, began: &str, whole: impl Fn(&[Finished]) -> bool) -> Vec<Finished> {
    let recent = recent(open);
    let since = Instant::now();
    loop {
        let mut traces = recent.traces().into_iter().map(|trace| recent.find(trace));
        let is_it = |spans: &Vec<Finished>| {
            spans.iter().any(|span| span.parent.is_none() && span.name == began)
        };
        let found = traces.find(is_it).unwrap_or_default();
        if whole(&found) {
            return found;
        }
        assert!(since.elapsed() < LONG, "of `{began}` there is only {:#?}", edges(&found));
        sleep(Duration::from_millis(20)).await;
    }
}

fn count(spans: &[Finished], name: &str) -> usize {
    spans.iter().filter(|span| span.name == name).count()
}

/// The consumer has done its work, and the customer has the mail.
fn is_told(spans: &[Finished]) -> bool {
    ["process notifications", "create notification.sent.v1"].map(|name| count(spans, name))
        == [1, 1]
}

/// Who caused what, and how often. A call is two spans, one on each side of it; here it is one edge.
fn edges(spans: &[Finished]) -> BTreeMap<String, usize> {
    let cause = |span: &Finished| {
        let parent = spans.iter().find(|one| Some(one.place.span) == span.parent);
        assert_eq!(parent.is_some(), span.parent.is_some(), "the parent of {span:?} is missing");
        parent.cloned()
    };
    let mut edges = BTreeMap::new();
    for span in spans.iter().filter(|span| span.kind != Kind::Client) {
        let caused = match cause(span) {
            Some(call) if call.kind == Kind::Client => cause(&call),
            caused => caused,
        };
        let from = caused.map_or("the street".to_owned(), |cause| told(&cause));
        *edges.entry(format!("{from} > {}", told(span))).or_default() += 1;
    }
    edges
}

fn told(span: &Finished) -> String {
    format!("{}: {}", span.service, span.name)
}

fn table(edges: &[(&str, &str, usize)]) -> BTreeMap<String, usize> {
    edges.iter().map(|(from, to, times)| (format!("{from} > {to}"), *times)).collect()
}

const CHECKOUT: &str = "gateway: POST /api/orders/checkout";
const PLACE: &str = "orders: POST /orders";
const CART: &str = "carts: GET /carts/{customer}";
const PRICES: &str = "catalog: POST /quotes";
const HOLD: &str = "inventory: PUT /reservations/{order}";
const CHARGE: &str = "payments: PUT /payments/{order}";
const SELL: &str = "inventory: POST /reservations/{order}/commit";
const EMPTY: &str = "carts: DELETE /carts/{customer}/items/{product}";
const CONFIRMED: &str = "orders: create order.confirmed.v1";
const HEARD: &str = "notifications: process notifications";
const TELL: &str = "notifications: PUT /notifications/{order}";
const TOLD: &str = "notifications: create notification.sent.v1";
const ADDRESS: &str = "users: GET /customers/{id}";

/// What is the same, whoever waits for it.
fn common() -> Vec<(&'static str, &'static str, usize)> {
    vec![
        ("the street", CHECKOUT, 1),
        (CHECKOUT, PLACE, 1),
        // When it is bought, and when what was bought is taken out.
        (PLACE, CART, 2),
        (CART, PRICES, 2),
        (PLACE, "orders: create order.placed.v1", 1),
        (PLACE, HOLD, 1),
        (HOLD, "inventory: create stock.reserved.v1", 1),
        (PLACE, CHARGE, 1),
        (CHARGE, "payments: create payment.authorized.v1", 1),
        (PLACE, SELL, 1),
        (PLACE, CONFIRMED, 1),
        (PLACE, EMPTY, 1),
        (CONFIRMED, HEARD, 1),
    ]
}

/// Answered when all is done. The customer is told by whichever is faster: who was asked, or who
/// heard of it.
pub(crate) async fn one_checkout_is_one_trace(open: Open) {
    let ada = open.customer("ada").await;
    ada.put(open.products[0], 1).await.expect("in the cart");
    let order = ada.buy("tok_ok", "first-wish").await.expect("confirmed");
    assert_eq!(order["state"], json!("confirmed"));
    let spans = trace(&open, "POST /api/orders/checkout", is_told).await;
    let mut found = edges(&spans);
    let mut by_either = |what: &str| {
        let ways = [TELL, HEARD].map(|by| found.remove(&format!("{by} > {what}")));
        ways.into_iter().flatten().sum::<usize>()
    };
    assert_eq!(by_either(TOLD), 1, "told once");
    assert!((1..=2).contains(&by_either(ADDRESS)), "who is late may see that it is done");
    let mut expected = common();
    expected.push((PLACE, TELL, 1));
    assert_eq!(found, table(&expected));
    assert!(spans.iter().all(|span| !span.failed), "{spans:#?}");
}

/// Answered at once, and brought to its end by a saga behind the customer's back.
pub(crate) async fn a_saga_goes_on_in_the_trace_that_began_it(open: Open) {
    open.switch("pattern.async", "on");
    let ada = open.customer("ada").await;
    ada.put(open.products[0], 1).await.expect("in the cart");
    ada.buy("tok_ok", "first-wish").await.expect("taken");
    let whole = |spans: &[Finished]| {
        let empty = "DELETE /carts/{customer}/items/{product}";
        is_told(spans) && count(spans, empty) == 1
    };
    let spans = trace(&open, "POST /api/orders/checkout", whole).await;
    let mut expected = common();
    expected.extend([(HEARD, ADDRESS, 1), (HEARD, TOLD, 1)]);
    assert_eq!(edges(&spans), table(&expected));
}

/// The spans of this trace, when the customer has the mail.
async fn until_told(open: &Open, trace: &str) -> Vec<Finished> {
    let trace = shop::traces::id(trace).expect("an id");
    let since = Instant::now();
    loop {
        let spans = recent(open).find(trace);
        if is_told(&spans) {
            return spans;
        }
        assert!(since.elapsed() < LONG, "there is only {:#?}", edges(&spans));
        sleep(Duration::from_millis(20)).await;
    }
}

/// Somebody takes the message and dies over it. It comes again: as another child of what caused it,
/// which says that it is not the first.
pub(crate) async fn a_redelivery_is_a_span_of_its_own(open: Open) {
    let queue = Subscription::new("notifications", &["order.confirmed.v1"]).prefetch(1);
    let queue = queue.deliveries(shop_notifications::subscription().deliveries);
    let mut rival = open.shop.bus.subscribe(queue).await.expect("a queue");
    let ada = open.customer("ada").await;
    for wish in 0..20 {
        ada.put(open.products[0], 1).await.expect("in the cart");
        ada.buy("tok_ok", &format!("the-wish-{wish}")).await.expect("confirmed");
        // Whose turn it is, the bus decides.
        let Ok(taken) = timeout(Duration::from_millis(500), rival.next()).await else { continue };
        let taken = taken.expect("a message");
        let parent = taken.event.trace.parent.clone().expect("a traceparent");
        drop(taken);
        drop(rival);
        let spans = until_told(&open, &parent[3..35]).await;
        let heard: Vec<_> = spans.iter().filter(|span| told(span) == HEARD).collect();
        let [heard] = heard[..] else { panic!("heard {} times", heard.len()) };
        let cause = heard.parent.expect("a cause").to_string();
        assert!(parent.contains(&cause), "{parent} is not of {cause}");
        assert_eq!(heard.links.len(), 1, "a link to the message");
        assert_eq!(heard.links[0].span.to_string(), cause);
        assert_eq!(heard.attribute("messaging.redelivered"), Some("true"));
        return;
    }
    panic!("of twenty messages none came to the rival");
}

/// A stranger who tries every address, and a caller of ours with a wrong one, are seen as well; what
/// they invent names no series and no span.
pub(crate) async fn what_no_route_takes_is_counted_and_traced(open: Open) {
    let catalog = open.shop.peers.all().into_iter().find(|peer| peer.name() == "catalog");
    let services =
        [(&open.gateway, "/api/categories"), (catalog.expect("a catalogue"), "/categories")];
    for (service, known) in services {
        let ask = async |method: Method, path: &str| {
            let answer = service.forward(method, path, Bytes::new(), &[]).await;
            answer.expect("an answer").into_parts()
        };
        let (unknown, _) = ask(Method::GET, "/invented-4711").await;
        let (other_method, _) = ask(Method::PATCH, known).await;
        assert_eq!([unknown.status, other_method.status], [404, 405]);
        let (_, told) = ask(Method::GET, "/metrics").await;
        let told = String::from_utf8(told.to_vec()).expect("text");
        for series in [
            r#"http_route="unmatched",http_request_method="GET",http_response_status_code="404""#,
            &format!(
                r#"http_route="{known}",http_request_method="PATCH",http_response_status_code="405""#
            ),
        ] {
            let count = format!("http_server_request_duration_seconds_count{{{series}}} 1");
            assert!(told.lines().any(|line| line == count), "no `{count}` in {told}");
        }
        assert!(!told.contains("invented"), "{told}");
    }
    // A caller of ours says in which trace it asks; here it is nobody, so each is a trace.
    let spans: Vec<_> = {
        let recent = recent(&open);
        recent.traces().into_iter().flat_map(|trace| recent.find(trace)).collect()
    };
    for service in ["gateway", "catalog"] {
        let of = |name: &str| {
            spans.iter().filter(|span| *span.service == *service && span.name == name).count()
        };
        let known = if service == "gateway" { "/api/categories" } else { "/categories" };
        assert_eq!([of("GET"), of(&format!("PATCH {known}"))], [1, 1], "{service}: {spans:#?}");
    }
}
