//! Wrong.
use grading::Decoy;
/// Every decoy with the check that must reject it.
pub fn all() -> Vec<Decoy> {
    Vec::new()
}
