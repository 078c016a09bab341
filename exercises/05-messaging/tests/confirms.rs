//! Grades the learner's file: `cargo test --test confirms`.

// The exercise's build script puts the starter there if nothing is. rustfmt must not look for it.
#[rustfmt::skip]
#[allow(unreachable_pub)]
#[path = "../../../desk/05-messaging/confirms.rs"]
mod confirms;

fn main() -> std::process::ExitCode {
    let checks = messaging_exercises::confirms::checks::<confirms::MyPublisher>();
    grading::grade("confirms", checks)
}
