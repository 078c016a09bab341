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
