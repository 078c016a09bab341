//! Grades the graders: the starter fails, the reference passes, each decoy dies where it must.

/// The wrong answers that people really give. Each names the check that must reject it.
#[allow(unreachable_pub)] // they are written like the learner's own files
#[path = "../decoys"]
mod decoys {}

/// The untouched starters. They must fail.
#[allow(unreachable_pub)]
#[path = "../starters"]
mod starters {}

fn main() -> std::process::ExitCode {
    grading::audit(vec![])
}
