//! Wrong answers.
use grading::Decoy;
/// none
pub fn all() -> Vec<Decoy> {
    vec![]
}
