//! Grades the learner's file: `cargo test --test propagation`.

// The exercise's build script puts the starter there if nothing is. rustfmt must not look for it.
#[rustfmt::skip]
#[allow(unreachable_pub)]
#[path = "../../../desk/07-tracing/propagation.rs"]
mod propagation;

fn main() -> std::process::ExitCode {
    let checks = observability_exercises::propagation::checks::<propagation::MyPropagation>();
    grading::grade("propagation", checks)
}
