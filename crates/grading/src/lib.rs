//! Suites of checks over a contract, graded under real faults.
//!
//! A tour, in the order in which a grading happens:
//!
//! - A [`Check`](check::Check) is one adversarial test of anything that fulfils a lesson's
//!   contract. It is generic, so the reference, the learner's file and the wrong answers meet the
//!   same one.
//! - It gets a fresh [`World`](world::World): a private server, a proxy before each client, a
//!   database that counts, a seed.
//! - What happens is written into a [`History`](history::History): who asked what, what passed on
//!   the wire, where the fault was.
//! - It ends in a [`Verdict`](verdict::Verdict): valid, invalid with the smallest evidence, or
//!   inconclusive. Inconclusive never passes.
//! - A failure is shown as a [`timeline`]: a lane for each client, the steps that clash marked,
//!   then expected, saw, and what to read.
//! - [`checks!`] and [`decoys!`] are how a lesson writes them down, a line each.
//! - [`suite`] lists the checks as single tests, so filters and editors work, and grades the
//!   graders: the starter must fail, the reference must pass, each decoy must be rejected by the
//!   check that it names.

pub mod check;
pub mod history;
pub mod list;
pub mod meeting;
pub mod process;
pub mod report;
pub mod runner;
pub mod suite;
pub mod timeline;
pub mod verdict;
pub mod world;

pub use check::Check;
pub use history::History;
pub use meeting::{SOON, comes_to};
pub use process::{Child, Process};
pub use suite::{Decoy, Lesson, audit, explain, grade};
pub use verdict::{Evidence, Finding, Verdict};
pub use world::World;
