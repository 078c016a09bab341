//! Customers, their passwords and tokens.
