//! Every part of every lesson is there, and what is rendered from the plans is in step with them.

use std::process::Command;

#[test]
fn no_lesson_lacks_a_part() {
    let mut lab = Command::new(env!("CARGO_BIN_EXE_lab"));
    let seen = lab.args(["audit", "--parts"]).current_dir(super::root()).output();
    let seen = seen.expect("the lab was built beside this test");
    assert!(seen.status.success(), "{}", String::from_utf8_lossy(&seen.stdout));
}
