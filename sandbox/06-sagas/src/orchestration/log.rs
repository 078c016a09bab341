//! Where a saga's entries go.

use crate::saga::Entry;
use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};

// ANCHOR: log
/// Takes down what has happened, before anything else happens.
pub trait Log: Send + Sync {
    /// Why an entry could not be kept.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Appends to what is known of the saga `id`. When this is over, `entry` outlives whatever the
    /// log outlives.
    ///
    /// # Errors
    /// It is not known whether it was kept.
    fn append(
        &self,
        id: &str,
        entry: &Entry,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;
}
// ANCHOR_END: log

/// A log that ends with the process.
#[derive(Debug, Default)]
pub struct Memory {
    entries: Mutex<HashMap<String, Vec<Entry>>>,
}

impl Memory {
    /// All that happened in the saga `id`.
    pub fn entries(&self, id: &str) -> Vec<Entry> {
        self.lock().get(id).cloned().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Vec<Entry>>> {
        // A push is whole or has not happened.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log for Memory {
    type Error = Infallible;

    async fn append(&self, id: &str, entry: &Entry) -> Result<(), Infallible> {
        self.lock().entry(id.to_owned()).or_default().push(entry.clone());
        Ok(())
    }
}
