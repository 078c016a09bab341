//! Grades the learner's file: `cargo test --test correlation_ids`.

// The exercise's build script puts the starter there if nothing is. rustfmt must not look for it.
#[rustfmt::skip]
#[allow(unreachable_pub)]
#[path = "../../../desk/07-tracing/correlation_ids.rs"]
mod correlation_ids;

fn main() -> std::process::ExitCode {
    let checks = observability_exercises::correlation_ids::checks::<correlation_ids::MyIds>();
    grading::grade("correlation_ids", checks)
}
