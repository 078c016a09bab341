//! The examples run, in the time that a learner has, and print what they are to prove.
//!
//! Ignored in `cargo test`, which should not build and run other programs:
//! `cargo test -p locks --test examples -- --ignored --nocapture`.

use page::printed::Printed;

#[test]
#[ignore = "builds and runs an example"]
fn lease() {
    let page = Printed::by("locks-examples", "lease");
    assert_eq!(page.cells("a third came in as well"), ["20 of 20", "0 of 20"]);
    let waited = "the next one waited (median)";
    assert!(page.number(waited, 0) > 200.0, "for the TTL of 300 ms");
    assert!(page.number(waited, 1) < page.number(waited, 0) / 2.0);
    assert_eq!(page.cells("counted, of 20"), ["20", "20"]);
    let questions = "questions to Redis";
    assert!(page.number(questions, 1) < page.number(questions, 0));
    assert!(page.number("the holder stopped, before Redis forgot the lease, by", 0) >= 0.0);
    assert_eq!(page.cells("tokens rise")[0], "holds");
}

#[test]
#[ignore = "builds and runs an example"]
fn fencing() {
    let page = Printed::by("locks-examples", "fencing");
    assert_eq!(page.cells("it looked at the clock: its write was"), ["written"]);
    assert_eq!(page.cells("with a fence: its write was"), ["refused"]);
    let wrong = |what| page.cells(what)[..3].to_vec();
    assert_eq!(wrong("it lands after the later write"), ["20 of 20", "0 of 20", "0 of 20"]);
    assert_eq!(wrong("between later read and write"), ["20 of 20", "20 of 20", "0 of 20"]);
    let takes = "one write takes (median)";
    assert!(page.number(takes, 1) < 3.0 * page.number(takes, 0));
}

#[test]
#[ignore = "builds and runs an example"]
fn lock_free() {
    let page = Printed::by("locks-examples", "lock_free");
    assert_eq!(page.cells("units there were"), ["1", "1", "1"]);
    assert_eq!(page.cells("units oversold"), ["0", "0", "0"]);
    assert_eq!(page.number("units gone from the stock", 0), 40.0, "without a record");
    assert_eq!(page.number("units gone from the stock", 1), 20.0, "with one");
    for way in 0..3 {
        assert_eq!(page.number("units sold", way), [10.0, 1.0, 1.0][way], "of one");
        assert_eq!(page.number("units left", way), 0.0);
    }
    assert!(page.number("commits that were refused", 1) > 0.0, "nobody met anybody");
}
