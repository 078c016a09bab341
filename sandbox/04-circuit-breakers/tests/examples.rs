//! The examples run, end by themselves in time, and print what they are to prove.
//!
//! Ignored in `cargo test`, which should not build and run other programs:
//! `cargo test -p circuit_breakers --test examples -- --ignored --nocapture`.

use page::printed::Printed;

const EXAMPLES: &str = "circuit-breakers-examples";

#[test]
#[ignore = "builds and runs an example"]
fn circuit_breaker() {
    let page = Printed::by(EXAMPLES, "circuit_breaker");
    assert_eq!(page.cells("callers"), ["520", "520"]);
    assert_eq!(page.number("told at once: try later", 0), 0.0, "there is no breaker");
    assert!(page.number("told at once: try later", 1) > 150.0, "of three hundred");
    for what in ["waited 100 ms for nothing", "calls sent to the provider"] {
        let (without, with) = (page.number(what, 0), page.number(what, 1));
        assert!(with * 2.0 < without, "{what}: {without}, {with}");
    }
    let waited = "half waited at most";
    assert!(page.number(waited, 1) * 4.0 < page.number(waited, 0), "milliseconds");
    // It opens for 200 ms, and probes take no time; a busy machine does.
    assert!(page.number("all well again after", 1) < 1_000.0, "milliseconds");
    assert_eq!(page.cells("sent to the provider")[..2], ["100", "3"]);
    assert_eq!(page.cells("and after they gave up, it"), ["lets all in", "open anew"]);
    page.cells("cargo lab start circuit_breaker");
}
