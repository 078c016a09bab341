//! The examples run, in the time that a learner has, and print what they are to prove.
//!
//! Ignored in `cargo test`, which should not build and run other programs:
//! `cargo test -p locks --test examples -- --ignored --nocapture`.

use page::printed::Printed;

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
