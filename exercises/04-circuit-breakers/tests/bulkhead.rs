//! Grades the learner's file: `cargo test --test bulkhead`.

// The exercise's build script puts the starter there if nothing is. rustfmt must not look for it.
#[rustfmt::skip]
#[allow(unreachable_pub)]
#[path = "../../../desk/04-circuit-breakers/bulkhead.rs"]
mod bulkhead;

fn main() -> std::process::ExitCode {
    let checks = circuit_breakers_exercises::bulkhead::checks::<bulkhead::MyBulkhead>();
    grading::grade("bulkhead", checks)
}
