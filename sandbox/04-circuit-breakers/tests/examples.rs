//! The examples run, end by themselves in time, and print what they are to prove.
//!
//! Ignored in `cargo test`, which should not build and run other programs:
//! `cargo test -p circuit_breakers --test examples -- --ignored --nocapture`.

use page::printed::Printed;

const EXAMPLES: &str = "circuit-breakers-examples";

#[test]
#[ignore = "builds and runs an example"]
fn retry() {
    let page = Printed::by(EXAMPLES, "retry");
    assert_eq!(page.cells("all fail: load"), ["1.00", "3.00", "1.10"]);
    assert_eq!(page.cells("3 layers, all fail: load"), ["1.00", "27.00", "1.10"]);
    assert!(page.number("30 % fails: load", 2) <= 1.1, "a budget of 10 %");
    let well = |column| page.number("1 % fails: well", column);
    assert!(well(2) > well(0), "a bad moment is what a budget is for");
    let herd = |column| page.number("most of them in 10 ms", column);
    assert!(herd(0) > 900.0 && herd(2) < 80.0, "no jitter, and full jitter");
    assert_eq!(page.cells("orders acknowledged")[1..], ["80", "100"]);
    assert_eq!(page.cells("orders in Redis")[1..], ["100", "100"]);
    assert!(page.number("orders in Redis", 0) > 115.0, "INCR, naive");
    page.cells("cargo lab start retry");
}
