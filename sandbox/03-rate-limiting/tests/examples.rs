//! The examples run, end by themselves in time, and print what they are to prove.
//!
//! Ignored in `cargo test`, which should not build and run other programs:
//! `cargo test -p rate_limiting --test examples -- --ignored --nocapture`.

use page::printed::Printed;

const EXAMPLES: &str = "rate-limiting-examples";

#[test]
#[ignore = "builds and runs an example"]
fn http_limits() {
    let page = Printed::by(EXAMPLES, "http_limits");
    page.cells("retry-after: 14");
    assert_eq!(page.cells("customer: errors"), ["0", "0"]);
    assert_eq!(page.number("bot: refused", 0), 0.0, "without a limit");
    // 20 at once and 20 a second, for 1.2 s; a busy machine takes a little longer.
    let served = page.number("bot: served", 1);
    assert!((40.0..100.0).contains(&served), "{served}");
    assert!(page.number("bot: refused", 1) > 200.0, "with a limit");
    let waited = "customer: 99 of 100";
    assert!(page.number(waited, 1) < page.number(waited, 0), "milliseconds");
    assert!(page.number("refused", 0) > page.number("refused", 1), "hammers, obeys");
    assert_eq!(page.number("refused", 2), 0.0, "paces");
    assert_eq!(page.number("refused again at a retry", 1), 0.0, "obeys");
    page.cells("cargo lab start http_limits");
}
