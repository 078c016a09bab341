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
