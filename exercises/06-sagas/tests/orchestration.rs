//! Grades the learner's file: `cargo test --test orchestration`.

// The exercise's build script puts the starter there if nothing is. rustfmt must not look for it.
#[rustfmt::skip]
#[allow(unreachable_pub)]
#[path = "../../../desk/06-sagas/orchestration.rs"]
mod orchestration;

fn main() -> std::process::ExitCode {
    let checks = sagas_exercises::orchestration::checks::<orchestration::MyOrchestrator>();
    grading::grade("orchestration", checks)
}
