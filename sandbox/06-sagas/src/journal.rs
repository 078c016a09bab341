//! Where a saga's entries outlive the process that wrote them.
//!
//! A journal keeps two things of a saga: its context, once, and its entries, one after the other.
//! Whoever drives it shows a fencing token (lesson 02.4), and the journal refuses a token that is
//! lower than one it has seen. So it does not matter how late somebody is who was stopped, and no
//! two can both believe that they wrote what happened.
//!
//! [`Journal`] is the port: a shop keeps its sagas where it keeps its orders. [`PgJournal`] is the
//! reference, on PostgreSQL.

mod pg;
mod tables;

pub use pg::{PgJournal, SCHEMA};
pub use tables::Tables;

use crate::saga::{Entry, Outcome};
use std::error::Error as StdError;
use std::future::Future;

// ANCHOR: journal
/// The journal of all sagas. A saga is known by its name and its id: two of different names may have
/// one id.
///
/// Every call is one commit or none, and may be made again when its answer was lost: what was written
/// under this token is found, and not written twice. After [`Error::Failed`] it is not known whether
/// it was done; after any other error it was not.
pub trait Journal: Send + Sync + 'static {
    /// A saga begins, with a context in JSON. `token` is that of who drives it from now on, or 0 where
    /// nobody does as yet. `false`: it had begun already, and nothing was changed.
    ///
    /// # Errors
    /// [`Error::Failed`].
    fn begin(
        &self,
        saga: &str,
        id: &str,
        context: &str,
        token: u64,
    ) -> impl Future<Output = Result<bool, Error>> + Send;

    /// The ids behind `after` of those that have neither ended nor been parked, in their order, at
    /// most so `many`. Its cost must not grow with the number of those that have ended.
    ///
    /// # Errors
    /// [`Error::Failed`].
    fn unfinished(
        &self,
        saga: &str,
        after: &str,
        many: u32,
    ) -> impl Future<Output = Result<Vec<String>, Error>> + Send;

    /// Takes the saga for the holder of `token`: from now on nobody writes with a lower one. What is
    /// read is all that was ever written with one.
    ///
    /// # Errors
    /// [`Error::Fenced`], [`Error::NoSuchSaga`], [`Error::Unreadable`], [`Error::Failed`].
    fn claim(
        &self,
        saga: &str,
        id: &str,
        token: u64,
    ) -> impl Future<Output = Result<Record, Error>> + Send;

    /// Writes the entry of this `position`, counted from 0, and how the saga stands after it: `None`
    /// while there is something to do.
    ///
    /// # Errors
    /// [`Error::Fenced`], [`Error::Taken`], [`Error::NoSuchSaga`], [`Error::Failed`].
    fn append(
        &self,
        line: Line<'_>,
        entry: &Entry,
        stands: Option<Outcome>,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Says how the saga stands, where there is no entry to say it with: it has no steps, or those
    /// that were left have been taken out of the program.
    ///
    /// # Errors
    /// [`Error::Fenced`], [`Error::NoSuchSaga`], [`Error::Failed`].
    fn settle(
        &self,
        saga: &str,
        id: &str,
        token: u64,
        stands: Outcome,
    ) -> impl Future<Output = Result<(), Error>> + Send;
}

/// The line of a journal that is to be written, and with which token.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// The saga's name.
    pub saga: &'a str,
    /// Which of them.
    pub id: &'a str,
    /// How many entries there are before.
    pub position: usize,
    /// The fencing token of whoever writes.
    pub token: u64,
}

/// What the journal knows of a saga.
#[derive(Clone, Debug)]
pub struct Record {
    /// What it was begun with, in JSON.
    pub context: String,
    /// All that has happened.
    pub entries: Vec<Entry>,
    /// How it stands; `None` while there is something to do.
    pub stands: Option<Outcome>,
    /// Whether somebody has claimed it before, and may have begun a step that is in no entry.
    pub begun: bool,
}

/// Why nothing was written, or it is not known whether.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody with a higher token has the saga now.
    #[error("token {token} is refused: {newest} has been here")]
    Fenced {
        /// The token that was shown.
        token: u64,
        /// The highest that was seen.
        newest: u64,
    },
    /// At this position stands what another wrote, or there are fewer entries than that.
    #[error("entry {position} is not the next one")]
    Taken {
        /// Counted from 0.
        position: usize,
    },
    /// No saga of this name and id has begun.
    #[error("no saga of this name and id has begun")]
    NoSuchSaga,
    /// What stands there is not what a journal of this saga holds.
    #[error("what stands in the journal cannot be read: {0}")]
    Unreadable(String),
    /// The journal's storage failed, or did not answer in time.
    #[error("the journal failed: {0}")]
    Failed(#[source] Box<dyn StdError + Send + Sync>),
}
// ANCHOR_END: journal
