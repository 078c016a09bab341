//! Grades the learner's file: `cargo test --test lease`.

// The exercise's build script puts the starter there if nothing is. rustfmt must not look for it.
#[rustfmt::skip]
#[allow(unreachable_pub)]
#[path = "../../../desk/02-locks/lease.rs"]
mod lease;

fn main() -> std::process::ExitCode {
    let checks = locks_exercises::lease::checks::<lease::MyLease>();
    grading::grade("lease", checks)
}
