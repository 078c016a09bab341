//! What can go wrong, told apart by what a service does about it.

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why the bus did not do it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The turn did not come in time. The same again may succeed.
    #[error("the bus is busy: {0}")]
    Busy(#[source] Cause),
    /// The bus does not answer, or its disk does not take it.
    #[error("the bus is out of reach: {0}")]
    Unavailable(#[source] Cause),
    /// The delivery is no longer its consumer's: it was given to another, or answered before.
    #[error("the delivery is no longer this consumer's")]
    Lost,
    /// A defect of the program.
    #[error("the bus does not understand: {0}")]
    Defect(#[source] Cause),
}

impl From<shop_storage::Error> for Error {
    fn from(error: shop_storage::Error) -> Error {
        use shop_storage::Error as Storage;
        match &error {
            Storage::Busy(_) => Error::Busy(Box::new(error)),
            Storage::Unavailable(_) | Storage::Place { .. } => Error::Unavailable(Box::new(error)),
            Storage::Taken(_)
            | Storage::Rule(_)
            | Storage::Defect(_)
            | Storage::Migration { .. } => Error::Defect(Box::new(error)),
        }
    }
}

impl From<shop_storage::sqlx::Error> for Error {
    fn from(error: shop_storage::sqlx::Error) -> Error {
        shop_storage::Error::from(error).into()
    }
}
