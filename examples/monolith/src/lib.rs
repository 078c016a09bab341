//! The shop before: one program, one database, one transaction.
