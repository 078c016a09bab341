//! Grades the learner's file: `cargo test --test crash_recovery`.

// The exercise's build script puts the starter there if nothing is. rustfmt must not look for it.
#[rustfmt::skip]
#[allow(unreachable_pub)]
#[path = "../../../desk/06-sagas/crash_recovery.rs"]
mod crash_recovery;

fn main() -> std::process::ExitCode {
    let checks = sagas_exercises::crash_recovery::checks::<crash_recovery::MyRecovery>();
    grading::grade("crash_recovery", checks)
}
