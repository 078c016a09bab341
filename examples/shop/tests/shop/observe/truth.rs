//! The dashboard tells the truth: a Prometheus scrapes a shop in which customers buy, and is asked what
//! each panel asks.
//!
//! `scripts/prometheus-path.sh` gets a Prometheus and runs this.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use shop_flags::{FaultPayment, PatternAsync};

use super::prometheus::{LONG, Line, Prometheus};
use super::{Question, questions};
use crate::open::{Open, Somebody};

/// Of rates, where one scrape is a second.
const WINDOW: &str = "10s";

const BREAKERS: &str = "Breakers that are not closed";
const ERRORS: &str = "Share of errors";
const ORDERS: &str = "Orders by state";
/// What stands behind the panel of checkouts, and not by the second.
const CHECKOUTS: &str = r#"sum by (http_response_status_code) (http_server_request_duration_seconds_count{service="gateway",http_route="/api/orders/checkout"})"#;

/// Somebody who looks, buys, and counts how that was answered.
struct Buyer {
    somebody: Somebody,
    wishes: usize,
    /// Whether every fourth of them is answered at once.
    by_sagas: bool,
    answers: BTreeMap<String, f64>,
}

impl Buyer {
    async fn buy(&mut self, open: &Open) {
        let product = open.products[self.wishes % 5];
        self.somebody.get(&format!("/api/products/{product}")).await.expect("the product");
        self.somebody.put(open.products[0], 1).await.expect("in the cart");
        let (status, way) = match self.by_sagas && self.wishes % 4 == 3 {
            true => (202, PatternAsync::On),
            false => (201, PatternAsync::Off),
        };
        open.shop.setup.flags.set(way);
        let told = self.somebody.buy("tok_ok", &format!("wish-{:04}", self.wishes)).await;
        let status = told.map_or_else(|problem| problem.status, |_| status);
        *self.answers.entry(status.to_string()).or_default() += 1.0;
        self.wishes += 1;
    }

    /// Buys on, a few times a second, until it is so.
    async fn until(&mut self, open: &Open, what: &str, mut is_so: impl AsyncFnMut() -> bool) {
        let begun = Instant::now();
        while !is_so().await {
            assert!(begun.elapsed() < LONG, "{what}");
            self.buy(open).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

fn value(lines: &[Line], labels: &[(&str, &str)]) -> Option<f64> {
    let fits = |(found, _): &&Line| {
        labels.iter().all(|(name, value)| found.get(*name).is_some_and(|found| found == value))
    };
    lines.iter().find(fits).map(|(_, value)| *value)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a Prometheus; next: scripts/prometheus-path.sh"]
async fn the_dashboard_tells_the_truth() {
    let open = Open::embedded().await;
    let prometheus = Prometheus::beside(&open).await;
    let somebody = open.customer("ada").await;
    let mut buyer = Buyer { somebody, wishes: 0, by_sagas: true, answers: BTreeMap::new() };
    let questions = questions(WINDOW);
    let by_title = |title: &str| {
        let found = questions.iter().find(|question| question.panel == title);
        &found.unwrap_or_else(|| panic!("there is no panel `{title}`")).expression
    };
    let (breakers, errors) = (by_title(BREAKERS), by_title(ERRORS));

    // All is well: each panel shows something, and the one for trouble shows none.
    for Question { panel, expression, .. } in &questions {
        if panel != BREAKERS {
            let shows = async || !prometheus.now(expression).await.is_empty();
            buyer.until(&open, &format!("`{panel}` shows nothing: {expression}"), shows).await;
        }
    }
    assert_eq!(prometheus.now("sum(up)").await[0].1, 8.0, "all services are scraped");
    assert_eq!(prometheus.now(breakers).await, [], "all breakers are closed");
    assert_eq!(value(&prometheus.now(errors).await, &[("service", "gateway")]), Some(0.0));

    // The payment provider fails: orders' breaker before payments, and nobody else's.
    buyer.by_sagas = false;
    open.shop.setup.flags.set(FaultPayment::Error);
    let open_one = [("service", "orders"), ("to", "payments"), ("method", "PUT")];
    let tells = async || {
        let lines = prometheus.now(breakers).await;
        let share = value(&prometheus.now(errors).await, &[("service", "gateway")]);
        value(&lines, &open_one) == Some(1.0)
            && share.is_some_and(|share| share > 0.0 && share < 1.0)
    };
    buyer.until(&open, "neither breaker nor errors are told", tells).await;
    for (labels, _) in prometheus.now(breakers).await {
        assert_eq!((&*labels["service"], &*labels["to"]), ("orders", "payments"), "{labels:?}");
    }

    // Nobody buys any more, and what was counted is what they saw.
    open.shop.setup.flags.set(FaultPayment::Off);
    let begun = Instant::now();
    loop {
        let books = open.shop.peers.orders.books().await.expect("books");
        let states =
            [("confirmed", books.confirmed), ("failed", books.failed), ("open", books.open)];
        let orders = prometheus.now(by_title(ORDERS)).await;
        let is_told =
            |(name, many): &(&str, i64)| value(&orders, &[("state", name)]) == Some(*many as f64);
        let counted = prometheus.now(CHECKOUTS).await;
        let counted: BTreeMap<_, _> = counted
            .into_iter()
            .map(|(labels, many)| (labels.into_values().collect(), many))
            .collect();
        if books.open == 0 && states.iter().all(is_told) && counted == buyer.answers {
            break;
        }
        let seen = &buyer.answers;
        assert!(
            begun.elapsed() < LONG,
            "{seen:?}, but counted {counted:?}; {books:?}, but {orders:?}"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(buyer.answers.keys().collect::<Vec<_>>(), ["201", "202", "503"]);

    for question in questions.iter().filter(|question| question.exemplars) {
        follow(&open, &prometheus, question).await;
    }
}

/// The newest dot of each line leads to a trace that the shop has, in which that request took so long.
async fn follow(open: &Open, prometheus: &Prometheus, question: &Question) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let range = format!("&start={}&end={}", now - 3600, now + 60);
    let found = prometheus.ask("query_exemplars", &question.expression, &range).await;
    let found = found.expect("an answer");
    let lines = found.as_array().expect("lines");
    assert!(!lines.is_empty(), "`{}` has no exemplars", question.panel);
    for line in lines {
        let label = |name: &str| line["seriesLabels"][name].as_str().expect("a text");
        let dot = line["exemplars"].as_array().and_then(|dots| dots.last()).expect("a dot");
        let took = dot["value"].as_str().expect("a text").parse::<f64>().expect("seconds");
        assert!(label("le") == "+Inf" || took <= label("le").parse().expect("seconds"), "{line}");
        let trace = dot["labels"]["trace_id"].as_str().expect("a trace");
        let spans = open.gateway.get::<Value>(&format!("/spans/{trace}")).await.expect("spans");
        let name = format!("{} {}", label("http_request_method"), label("http_route"));
        let is_it = |span: &Value| {
            // Around what is measured, so it takes no less.
            let span_took = span["took"].as_f64().expect("microseconds") / 1e6;
            span["service"] == label("service") && span["name"] == *name && span_took >= took - 1e-3
        };
        let is_there = spans.as_array().expect("a list").iter().any(is_it);
        assert!(is_there, "{name} of {took} s is not in its trace {trace}: {spans}");
    }
}
