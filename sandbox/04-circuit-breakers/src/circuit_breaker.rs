//! 04.2 · Circuit breaker: stops asking who does not answer.
