//! The lab as a learner meets it: its screens, its exit codes, and what is on disk afterwards.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod audit;
mod grading;
mod interrupt;
mod keeping;
mod pull;
mod sandbox;
mod screens;
mod shop;
mod watch;
