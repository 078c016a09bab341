//! Grades the learner's file: `cargo test --test gcra`.

// The exercise's build script puts the starter there if nothing is. rustfmt must not look for it.
#[rustfmt::skip]
#[allow(unreachable_pub)]
#[path = "../../../desk/03-rate-limiting/gcra.rs"]
mod gcra;

fn main() -> std::process::ExitCode {
    let checks = rate_limiting_exercises::gcra::checks::<gcra::MyLimiter>();
    grading::grade("gcra", checks)
}
