//! The examples run, end by themselves in time, and print what they are to prove.
//!
//! Ignored in `cargo test`, which should not build and run other programs:
//! `cargo test -p observability --test examples -- --ignored --nocapture`.

use page::printed::Printed;

const EXAMPLES: &str = "observability-examples";

#[test]
#[ignore = "builds and runs an example"]
fn correlation_ids() {
    let page = Printed::by(EXAMPLES, "correlation_ids");
    assert_eq!(page.cells("lines of the orders"), ["1,500", "1,500"]);
    assert!(page.number("with the id of another", 0) > 0.0, "by thread");
    assert!(page.number("without an id", 0) > 0.0, "by thread");
    assert_eq!(page.number("with the order's own id", 1), 1_500.0, "by task");
    assert_eq!(page.number("with the id of another", 1), 0.0, "by task");
    assert_eq!(page.number("without an id", 1), 0.0, "by task");
    assert_eq!(page.cells("orders that a search finds"), ["0", "100"]);
    // The first line at least, which is written where the id was taken from the header; how many of
    // the others are on the same thread is luck.
    assert!(page.number("bytes of log for the first", 0) > 65_536.0, "believed");
    assert!(page.number("bytes of log for the first", 1) < 10_000.0, "validated");
    assert_eq!(page.number("lines that the second wrote", 1), 0.0, "validated");
    assert!(page.number("lines that the second wrote", 0) > 0.0, "believed");
    page.cells("cargo lab start correlation_ids");
}

#[test]
#[ignore = "builds and runs an example"]
fn structured_logs() {
    let page = Printed::by(EXAMPLES, "structured_logs");
    assert_eq!(page.cells("customers' passwords"), ["300", "0"]);
    assert_eq!(page.cells("customers' card numbers"), ["300", "0"]);
    assert_eq!(page.cells("customers' email addresses"), ["300", "0"]);
    assert!(page.number("the database's password", 0) > 0.0, "in sentences");
    assert_eq!(page.number("the database's password", 1), 0.0, "structured");
    assert_eq!(page.cells("customers, by their order"), ["300", "300"]);
    assert_eq!(page.number("found", 1), page.number("there were", 1), "structured");
    assert!(page.number("found", 0) > page.number("there were", 0), "in sentences");
    assert_eq!(page.cells("lines of the carts"), ["0", "0", "300"]);
    assert_eq!(page.cells("carts printed"), ["0", "0", "300"]);
    page.cells("cargo lab start structured_logs");
}

#[test]
#[ignore = "builds and runs an example"]
fn spans() {
    let page = Printed::by(EXAMPLES, "spans");
    assert_eq!(page.cells("checkouts"), ["24", "24"]);
    assert_eq!(page.number("the suspect was the slow one", 0), 0.0, "by the log");
    // A busy machine may hold another step up for longer than the slow one takes.
    assert!(page.number("the suspect was the slow one", 1) > 20.0, "by the spans");
    let (log, spans) = (page.number("after the repair", 0), page.number("after the repair", 1));
    assert!(log > 1.6 * spans, "{log} ms and {spans} ms");
    assert_eq!(page.cells("in the tree of their request"), ["72", "216"]);
    page.cells("cargo lab start spans");
}

#[test]
#[ignore = "builds and runs an example"]
fn propagation() {
    let page = Printed::by(EXAMPLES, "propagation");
    assert_eq!(page.cells("traces"), ["41", "41"]);
    assert_eq!(page.cells("checkouts that lead to a mail"), ["0", "40"]);
    assert_eq!(page.cells("most orders in one trace"), ["40", "1", "÷ 40"]);
    // The table of the relay's contexts comes first.
    assert_eq!(page.cells("send orders"), ["relay", "trace B", "round"]);
    assert_eq!(page.cells("process mail, again"), ["mail", "trace B", "send orders"]);
    assert_eq!(page.cells("create orders"), ["orders", "trace A", "POST /orders/{order}"]);
    page.cells("cargo lab start propagation");
}

#[test]
#[ignore = "builds and runs an example"]
fn metrics() {
    let page = Printed::by(EXAMPLES, "metrics");
    // Averaged, its ratio to the truth; merged, its ratio to the truth.
    for quantile in ["p50", "p90"] {
        assert!(page.number(quantile, 1) > 20.0, "{quantile} averaged is far too high");
    }
    assert!(page.number("p99", 1) < 0.8, "p99 averaged is too low");
    for quantile in ["p50", "p90", "p95", "p99"] {
        let merged = page.number(quantile, 3);
        assert!((0.5..=2.0).contains(&merged), "{quantile} merged is within its bucket");
    }
    // The p99 is above 2.5 s, and 5 s is the next bound.
    assert!((2_500.0..=5_000.0).contains(&page.number("which took", 0)));
    assert!(page.number("last minus first, added", 0) < 0.0);
    assert!(page.number("the rate of the sum", 0) > 600.0);
    assert_eq!(page.number("the sum of the rates", 0), 20.0);
    assert_eq!(page.cells("histograms"), ["4,000", "2", "2,000 ×"]);
    assert_eq!(page.cells("requests counted in all"), ["4,000", "4,000"]);
    let bytes = page.number("bytes of one scrape", 0) / page.number("bytes of one scrape", 1);
    assert!(bytes > 1_000.0, "a scrape is {bytes} times as long");
    page.cells("cargo lab start metrics");
}
