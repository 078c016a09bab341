//! The dashboard asks only for what there is.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use http::Method;
use serde_json::Value;
use shop_flags::PatternAsync;

use super::expression::unknown;
use super::{panels, questions, scrape};
use crate::open::{Open, ask};

/// A shop in which somebody has looked at a product and bought it, and once more as a saga.
async fn after_two_checkouts() -> Open {
    let open = Open::embedded().await;
    let ada = open.customer("ada").await;
    let path = format!("/api/products/{}", open.products[0]);
    ask(&open.gateway, Method::GET, &path, &Value::Null, &[]).await.expect("the product");
    ada.put(open.products[0], 1).await.expect("in the cart");
    ada.buy("tok_ok", "first-wish").await.expect("confirmed");
    open.shop.setup.flags.set(PatternAsync::On);
    ada.put(open.products[0], 1).await.expect("in the cart");
    ada.buy("tok_ok", "second-wish").await.expect("taken");
    let begun = Instant::now();
    while open.shop.peers.orders.books().await.expect("books").confirmed < 2 {
        assert!(begun.elapsed() < Duration::from_secs(30), "the saga does not come to its end");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    open
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_panel_asks_for_what_the_shop_tells() {
    let open = after_two_checkouts().await;
    let samples = scrape::stored(&open).await;
    let questions = questions("1m");
    assert!(questions.len() > 20, "{} questions", questions.len());
    for question in questions {
        let unknown = unknown(&question.expression, &samples);
        assert!(unknown.is_empty(), "`{}` asks for {unknown:?}", question.panel);
    }
    // And this would be seen:
    for wrong in [
        "sum(rate(http_server_request_duration_seconds_cuont[1m]))",
        "sum(rate(http_server_request_duration_seconds[1m]))",
        r#"sum(rate(http_server_request_duration_seconds_count{route="/orders"}[1m]))"#,
        r#"sum(rate(http_server_request_duration_seconds_count{service="shop"}[1m]))"#,
        // There are both, and not together.
        r#"http_server_request_duration_seconds_count{service="gateway",http_route="/orders"}"#,
        "sum by (user) (orders)",
        "sum by (le) (http_server_request_duration_seconds_count)",
        "orders / order",
        "vector(1)",
    ] {
        assert!(!unknown(wrong, &samples).is_empty(), "{wrong}");
    }
}

#[test]
fn panels_are_told_apart_and_say_what_they_show() {
    let panels = panels();
    let (mut ids, mut titles, mut cells) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for panel in &panels {
        let title = panel["title"].as_str().expect("a title");
        assert!(ids.insert(panel["id"].as_u64().expect("a number")), "{title}: its id is taken");
        assert!(titles.insert(title), "{title} is there twice");
        let at = &panel["gridPos"];
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|name| at[name].as_u64().expect("a number"));
        assert!(x + w <= 24, "{title} is too wide");
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(cells.insert(cell), "{title} lies over another panel");
        }
        if panel["type"] == "row" {
            continue;
        }
        assert!(panel["description"].as_str().is_some_and(|told| !told.is_empty()), "{title}");
        assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{title} has no unit");
        for target in panel["targets"].as_array().expect("targets") {
            assert!(target["legendFormat"].is_string(), "{title} names its lines");
            let expression = target["expr"].as_str().expect("an expression");
            // Anything narrower than two scrapes is empty for ever.
            let windows = expression.matches('[').count();
            assert_eq!(windows, expression.matches("[$__rate_interval]").count(), "{title}");
        }
    }
}
