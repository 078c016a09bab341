//! Grades the learner's file: `cargo test --test publish_consume`.

// The exercise's build script puts the starter there if nothing is. rustfmt must not look for it.
#[rustfmt::skip]
#[allow(unreachable_pub)]
#[path = "../../../desk/05-messaging/publish_consume.rs"]
mod publish_consume;

fn main() -> std::process::ExitCode {
    let checks = messaging_exercises::publish_consume::checks::<publish_consume::MyCourier>();
    grading::grade("publish_consume", checks)
}
