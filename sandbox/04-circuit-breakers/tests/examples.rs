//! The examples run, end by themselves in time, and print what they are to prove.
//!
//! Ignored in `cargo test`, which should not build and run other programs:
//! `cargo test -p circuit_breakers --test examples -- --ignored --nocapture`.

use page::printed::Printed;

const EXAMPLES: &str = "circuit-breakers-examples";

#[test]
#[ignore = "builds and runs an example"]
fn timeouts() {
    let page = Printed::by(EXAMPLES, "timeouts");
    assert!(page.number("commands afterwards", 0) > 10.0, "a timeout each");
    // One may be on its way at the moment in which the customer leaves.
    assert!(page.number("commands afterwards", 1) <= 1.0, "one deadline");
    let (each, one) = (page.number("commands", 0), page.number("commands", 1));
    assert!(one < each, "{one}, {each}");
    assert!(page.number("of those, for nobody", 0) > 200.0, "a timeout each");
    assert!(page.number("of those, for nobody", 1) <= 0.02 * one, "one deadline");
    let answered = "of those, answered in time";
    assert!(page.number(answered, 0) < page.number(answered, 1));
    assert_eq!(page.cells("the caller was told")[0], "not in 0.6 s");
    assert!(page.number("the caller was told", 1) >= 300.0, "milliseconds");
    page.cells("cargo lab start timeouts");
}
