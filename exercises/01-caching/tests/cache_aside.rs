//! Grades the learner's file: `cargo test --test cache_aside`.

// The exercise's build script puts the starter there if nothing is. rustfmt must not look for it.
#[rustfmt::skip]
#[allow(unreachable_pub)]
#[path = "../../../desk/01-caching/cache_aside.rs"]
mod cache_aside;

fn main() -> std::process::ExitCode {
    let checks = caching_exercises::cache_aside::checks::<cache_aside::MyCache>();
    grading::grade("cache_aside", checks)
}
