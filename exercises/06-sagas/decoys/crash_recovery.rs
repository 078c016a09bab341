pub fn all() -> Vec<grading::Decoy> { vec![] }
