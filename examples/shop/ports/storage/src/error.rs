//! What can go wrong, told apart by what a service does about it.

use sqlx::migrate::MigrateError;

/// Why the database did not do it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something of this name is there already: a unique constraint.
    #[error("it is there already: {0}")]
    Taken(#[source] sqlx::Error),
    /// It would break a rule that the database itself guards: a check or a foreign key.
    #[error("the database refuses it: {0}")]
    Rule(#[source] sqlx::Error),
    /// The turn did not come in time, or two transactions waited for each other. Nothing happened;
    /// the same again may succeed.
    #[error("the database is busy: {0}")]
    Busy(#[source] sqlx::Error),
    /// The server does not answer, or the disk does not take it.
    #[error("the database is out of reach: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// A statement that is wrong, or data that is not what it should be: a defect of the program.
    #[error("the database does not understand: {0}")]
    Defect(#[source] sqlx::Error),
    /// The place cannot be used.
    #[error("{url} is no place for a database: {why}")]
    Place {
        /// The place, without a password.
        url: String,
        /// What is wrong with it, and what would be right.
        why: String,
    },
    /// The database's shape is not what this program knows.
    #[error("the database `{name}` cannot be brought up to date: {cause}")]
    Migration {
        /// Which one.
        name: String,
        /// What sqlx found.
        cause: MigrateError,
    },
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Error {
        match &error {
            sqlx::Error::Database(database) => {
                // SQLSTATE of PostgreSQL: 40 rolled back to end a deadlock, 53 and 57 the server
                // lacks room or goes down, 55P03 a lock that did not come in time. SQLite's codes:
                // 5 busy, 6 locked (and their extended forms, the same in the low byte), 10 I/O, 13
                // full, 14 cannot open. https://www.postgresql.org/docs/current/errcodes-appendix.html,
                // https://www.sqlite.org/rescode.html
                let code = database.code().unwrap_or_default();
                let sqlite = code.parse::<u32>().ok().filter(|_| code.len() < 5).map(|c| c & 0xff);
                if database.is_unique_violation() {
                    Error::Taken(error)
                } else if database.is_check_violation() || database.is_foreign_key_violation() {
                    Error::Rule(error)
                } else if code.starts_with("40") || code == "55P03" || matches!(sqlite, Some(5 | 6))
                {
                    Error::Busy(error)
                } else if code.starts_with("53")
                    || code.starts_with("57")
                    || matches!(sqlite, Some(10 | 13 | 14))
                {
                    Error::Unavailable(error)
                } else {
                    Error::Defect(error)
                }
            }
            sqlx::Error::PoolTimedOut => Error::Busy(error),
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Error::Unavailable(error),
            _ => Error::Defect(error),
        }
    }
}
