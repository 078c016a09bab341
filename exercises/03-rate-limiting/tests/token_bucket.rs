//! Grades the learner's file: `cargo test --test token_bucket`.

// The exercise's build script puts the starter there if nothing is. rustfmt must not look for it.
#[rustfmt::skip]
#[allow(unreachable_pub)]
#[path = "../../../desk/03-rate-limiting/token_bucket.rs"]
mod token_bucket;

fn main() -> std::process::ExitCode {
    let checks = rate_limiting_exercises::token_bucket::checks::<token_bucket::MyBucket>();
    grading::grade("token_bucket", checks)
}
