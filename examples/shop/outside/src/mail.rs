//! The mail server: it takes two seconds, and what it took cannot be taken back.
//!
//! # The trap
//!
//! Mail has no idempotency key. A server that is handed the same letter twice delivers it twice,
//! and a sender that lost the answer cannot know whether it was accepted: RFC 1047, "Duplicate
//! messages and SMTP", is from 1988. So the sender must remember what it sent, and choose for the
//! one case that it cannot know: nobody is told, or somebody is told twice.

use crate::Weather;
use std::collections::HashMap;
use std::future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::sleep;
use uuid::Uuid;

/// The mail server. Clones share what it delivered.
#[derive(Clone, Debug)]
pub struct Server {
    latency: Duration,
    postbox: Arc<Mutex<Postbox>>,
}

#[derive(Debug, Default)]
struct Postbox {
    delivered: Vec<Mail>,
    /// How often each key was handed in.
    attempts: HashMap<Uuid, u32>,
}

/// A letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// The sender's name for it, as the header `Message-ID` would be. The server does not look at
    /// it: two letters with one key are two letters.
    pub key: Uuid,
    /// To whom. A mailbox called `bounce`, such as `bounce@example.org`, does not exist.
    pub to: String,
    /// The subject line.
    pub subject: String,
    /// Plain text.
    pub body: String,
}

/// Why a letter was not delivered. In each of these cases nobody has got it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undelivered {
    /// There is no such mailbox. To send it again is useless.
    #[error("there is no mailbox `{0}`")]
    Bounced(String),
    /// The server does not want this letter. To send it again is useless.
    #[error("the mail server refused the letter")]
    Refused,
    /// The server is out of order. To send it again later is right.
    #[error("the mail server is out of order")]
    OutOfOrder,
}

impl Server {
    /// How long a letter usually takes: 2 s.
    pub const LATENCY: Duration = Duration::from_secs(2);

    /// A server that has delivered nothing, and takes `latency` for each letter.
    pub fn new(latency: Duration) -> Self {
        Self { latency, postbox: Arc::default() }
    }

    /// Delivers a letter. Takes the latency, and delivers in its middle: a caller that stops
    /// waiting does not know whether anybody got it. See [the trap](self#the-trap).
    ///
    /// # Errors
    /// [`Undelivered`]: nobody has got it.
    pub async fn send(&self, mail: Mail, weather: Weather) -> Result<(), Undelivered> {
        if weather.fails(mail.key, self.postbox().handed_in(mail.key)) {
            return Err(Undelivered::OutOfOrder);
        }
        let half = weather.lengthen(self.latency) / 2;
        sleep(half).await;
        let answer = if weather == Weather::Declines {
            Err(Undelivered::Refused)
        } else {
            self.deliver(mail)
        };
        if weather == Weather::Hangs {
            return future::pending().await;
        }
        sleep(half).await;
        answer
    }

    /// What was delivered, in order.
    pub fn sent(&self) -> Vec<Mail> {
        self.postbox().delivered.clone()
    }

    fn deliver(&self, mail: Mail) -> Result<(), Undelivered> {
        match mail.to.split_once('@') {
            Some((mailbox, host))
                if mailbox != "bounce" && !mailbox.is_empty() && !host.is_empty() =>
            {
                self.postbox().delivered.push(mail);
                Ok(())
            }
            _ => Err(Undelivered::Bounced(mail.to)),
        }
    }

    fn postbox(&self) -> MutexGuard<'_, Postbox> {
        // Whole after each of its operations, also where a thread panicked.
        self.postbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Postbox {
    /// The how-manieth letter with this key it is.
    fn handed_in(&mut self, key: Uuid) -> u32 {
        let attempts = self.attempts.entry(key).or_default();
        *attempts += 1;
        *attempts
    }
}

impl Default for Server {
    fn default() -> Self {
        Self::new(Self::LATENCY)
    }
}

#[cfg(test)]
mod tests;
