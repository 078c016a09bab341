//! Grades the learner's file: `cargo test --test structured_logs`.

// The exercise's build script puts the starter there if nothing is. rustfmt must not look for it.
#[rustfmt::skip]
#[allow(unreachable_pub)]
#[path = "../../../desk/07-tracing/structured_logs.rs"]
mod structured_logs;

fn main() -> std::process::ExitCode {
    let checks = observability_exercises::structured_logs::checks::<structured_logs::MyLines>();
    grading::grade("structured_logs", checks)
}
