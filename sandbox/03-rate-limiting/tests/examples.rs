//! The examples run, end by themselves in time, and print what they are to prove.
//!
//! Ignored in `cargo test`, which should not build and run other programs:
//! `cargo test -p rate_limiting --test examples -- --ignored --nocapture`.

use page::printed::Printed;

const EXAMPLES: &str = "rate-limiting-examples";

#[test]
#[ignore = "builds and runs an example"]
fn token_bucket() {
    let page = Printed::by(EXAMPLES, "token_bucket");
    assert_eq!(page.cells("most of them in 10 ms"), ["20", "10"]);
    assert_eq!(page.number("requests", 0), 400.0);
    assert_eq!(page.cells("polls"), ["2,000", "2,000"]);
    let (allowed, most) = (page.number("allowed", 0), page.number("allowed", 1));
    // The first row of this name: at the edges. A bucket never gives more than a counter here.
    assert!(most <= allowed, "{most}, {allowed}");
    let most = page.number("the burst, and what came back in that time", 0);
    assert!((150.0..1_000.0).contains(&most), "{most}");
    page.cells("cargo lab start token_bucket");
}

#[test]
#[ignore = "builds and runs an example"]
fn gcra() {
    let page = Printed::by(EXAMPLES, "gcra");
    assert_eq!(page.cells("allowed in 20 rounds"), ["400 of 400", "100 of 400"]);
    assert!(page.number("work for the shop, of 200", 0) > 400.0, "each counts 1");
    assert!(page.number("work for the shop, of 200", 1) <= 200.0, "by cost");
    assert_eq!(page.number("refused without Redis", 0), 0.0, "open");
    assert_eq!(page.number("allowed without Redis", 1), 0.0, "closed");
    assert!(page.number("allowed without Redis", 0) > 20.0, "open");
    assert!(page.number("refused without Redis", 1) > 20.0, "closed");
    for limiter in [0, 1] {
        assert!(page.number("Redis decides again after", limiter) < 2_000.0, "milliseconds");
    }
    page.cells("cargo lab start gcra");
}

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
