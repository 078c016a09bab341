//! Grades the learner's file: `cargo test --test idempotent_consumer`.

// The exercise's build script puts the starter there if nothing is. rustfmt must not look for it.
#[rustfmt::skip]
#[allow(unreachable_pub)]
#[path = "../../../desk/05-messaging/idempotent_consumer.rs"]
mod idempotent_consumer;

fn main() -> std::process::ExitCode {
    let checks = messaging_exercises::idempotent_consumer::checks::<idempotent_consumer::MyInbox>();
    grading::grade("idempotent_consumer", checks)
}
