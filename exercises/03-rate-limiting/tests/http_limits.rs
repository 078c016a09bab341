//! Grades the learner's file: `cargo test --test http_limits`.

// The exercise's build script puts the starter there if nothing is. rustfmt must not look for it.
#[rustfmt::skip]
#[allow(unreachable_pub)]
#[path = "../../../desk/03-rate-limiting/http_limits.rs"]
mod http_limits;

fn main() -> std::process::ExitCode {
    let checks = rate_limiting_exercises::http_limits::checks::<http_limits::MyLimits>();
    grading::grade("http_limits", checks)
}
