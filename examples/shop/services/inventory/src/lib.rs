//! Stock, and who holds how much of it.
