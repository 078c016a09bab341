//! What was heard.

use shop_contracts::event::Event;
use shop_flags::{Flags, PatternInbox};
use shop_storage::sqlx::{self, Any, Transaction};
use shop_storage::{Error, now};

/// The table, for a migration of the service's own.
pub const INBOX: &str = "
    CREATE TABLE inbox (
        consumer TEXT NOT NULL,
        message TEXT NOT NULL,
        seen_at BIGINT NOT NULL,
        PRIMARY KEY (consumer, message)
    );
    CREATE INDEX inbox_by_age ON inbox (consumer, seen_at)";

/// The inbox of one consumer, in its database, which has the table [`INBOX`].
#[derive(Clone, Debug)]
pub struct Inbox {
    consumer: &'static str,
    flags: Flags,
}

/// How long an event is remembered: longer than any way back that it may take, and a month is long.
const KEPT: i64 = 30 * 24 * 60 * 60 * 1_000_000;

impl Inbox {
    /// That of `consumer`.
    pub fn new(consumer: &'static str, flags: Flags) -> Inbox {
        Inbox { consumer, flags }
    }

    /// Whether it is new. It is remembered if `change` is committed, which is to be the transaction
    /// of its effect. If it is not new, the effect is there, and the event may be acknowledged. Ask
    /// this first: who is just at the same event holds this one up until it is known what becomes
    /// of it.
    ///
    /// # Errors
    /// The database's, and the transaction is of no use any more.
    pub async fn is_new(
        &self,
        change: &mut Transaction<'static, Any>,
        event: &Event,
    ) -> Result<bool, Error> {
        if self.flags.get::<PatternInbox>() == PatternInbox::Off {
            return Ok(true);
        }
        let remember = "INSERT INTO inbox (consumer, message, seen_at) VALUES ($1, $2, $3) \
                        ON CONFLICT (consumer, message) DO NOTHING";
        let done = sqlx::query(remember)
            .bind(self.consumer)
            .bind(event.id.to_string())
            .bind(now())
            .execute(&mut **change)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Forgets what was heard long ago.
    ///
    /// # Errors
    /// The database's.
    pub async fn sweep(&self, change: &mut Transaction<'static, Any>) -> Result<(), Error> {
        sqlx::query("DELETE FROM inbox WHERE consumer = $1 AND seen_at < $2")
            .bind(self.consumer)
            .bind(now() - KEPT)
            .execute(&mut **change)
            .await?;
        Ok(())
    }
}
