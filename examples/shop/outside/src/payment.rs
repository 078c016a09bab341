//! The payment provider: it takes a second, and keeps books of its own.
//!
//! # The trap
//!
//! The charge is booked in the *middle* of the call. A caller that gives up after that (a timeout,
//! a dropped future, a process that dies) has seen a failure, and its customer has paid. Nothing
//! in the caller's hands tells this from a call that never arrived: the outcome is *ambiguous*.
//! There are two ways out, and this provider has both, as real ones do:
//!
//! - ask again with the same key: [`Provider::charge`] answers with the receipt of the first time
//!   and charges once (the `Idempotency-Key` of
//!   <https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/>);
//! - ask what became of it: [`Provider::find`].
//!
//! To roll one's own transaction back is neither. The provider does not know that there was one.
//!
//! # Test cards
//!
//! | token begins with | answer |
//! | --- | --- |
//! | `tok_ok` | charged |
//! | `tok_declined` | [`Refusal::Declined`] |
//! | `tok_insufficient` | [`Refusal::InsufficientFunds`] |
//! | `tok_expired` | [`Refusal::ExpiredCard`] |
//! | anything else | [`Refusal::UnknownCard`] |

use crate::Weather;
use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::future;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::sleep;
use uuid::Uuid;

/// The payment provider. Clones share its books.
#[derive(Clone, Debug)]
pub struct Provider {
    latency: Duration,
    ledger: Arc<Mutex<Ledger>>,
}

/// What a caller wants to be paid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// The idempotency key: the same for each attempt at the same payment. The order's id does.
    pub key: Uuid,
    /// In minor units of the account's one currency: cents. At least 1.
    pub amount: i64,
    /// The token of a card. See the table of [test cards](self#test-cards).
    pub card: String,
}

/// The provider's word that it has the money.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The provider's name for the payment.
    pub reference: String,
    /// In minor units.
    pub amount: i64,
    /// Whether the money went back since.
    pub refunded: bool,
}

/// Why there is no receipt. In each of these cases nothing was booked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The bank says no. To ask again with the same card is useless.
    #[error("the card was declined")]
    Declined,
    /// There is not enough on the card.
    #[error("the card has insufficient funds")]
    InsufficientFunds,
    /// The card is too old.
    #[error("the card has expired")]
    ExpiredCard,
    /// The provider never gave out this token.
    #[error("the provider knows no card `{0}`")]
    UnknownCard(String),
    /// Not an amount that can be charged.
    #[error("an amount of {0} cannot be charged")]
    Amount(i64),
    /// The key belongs to a charge of another amount: the caller mixes up two payments.
    #[error("the key {key} belongs to a charge of {amount}")]
    KeyInUse {
        /// The key of both.
        key: Uuid,
        /// What was charged under it, in minor units.
        amount: i64,
    },
    /// Nothing was charged under this key, so nothing can be refunded.
    #[error("nothing was charged under the key {0}")]
    NothingCharged(Uuid),
    /// The provider is out of order. To ask again later, with the same key, is right.
    #[error("the payment provider is out of order")]
    OutOfOrder,
}

/// A line of the provider's books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key that the caller gave.
    pub key: Uuid,
    /// What was charged, and whether it went back.
    pub receipt: Receipt,
}

/// The provider's books as they stood at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Books {
    /// Every charge, in the order of booking.
    pub entries: Vec<Entry>,
}

/// The calls that have reached the provider since it was made, by what came of them. What it says
/// of its own load: a caller that gave up, or never asked, counts differently.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// Charges and refunds that arrived, whatever came of them.
    pub reached: u64,
    /// Those that found it out of order.
    pub out_of_order: u64,
    /// Those that it took and never answered.
    pub unanswered: u64,
    /// Questions what became of a charge.
    pub questions: u64,
}

#[derive(Debug, Default)]
struct Ledger {
    entries: Vec<Entry>,
    by_key: HashMap<Uuid, usize>,
    calls: Calls,
    /// How often each key was charged or refunded, or tried to be.
    attempts: HashMap<Uuid, u32>,
    /// A line for each booking: `charge KEY AMOUNT`, `refund KEY`.
    file: Option<File>,
}

impl Provider {
    /// How long a call usually takes: 1 s.
    pub const LATENCY: Duration = Duration::from_secs(1);

    /// A provider with empty books whose calls take `latency`.
    pub fn new(latency: Duration) -> Self {
        Self { latency, ledger: Arc::default() }
    }

    /// The same, with books in a file: what it holds is in the books at once, and what is booked is
    /// in the file before it is answered. A provider is another company, and does not forget us
    /// when we restart.
    ///
    /// # Errors
    /// The file cannot be opened, or does not hold books.
    pub fn with_books(self, file: &Path) -> io::Result<Self> {
        *self.ledger() = Ledger::open(file)?;
        Ok(self)
    }

    /// Charges a card once for each key, however often it is asked.
    ///
    /// Takes the latency, and books in its middle: see [the trap](self#the-trap). A refusal is not
    /// remembered, so the customer may try another card under the same key.
    ///
    /// # Errors
    /// A [`Refusal`]: nothing was booked. A caller that stopped waiting has no such promise.
    pub async fn charge(&self, charge: &Charge, weather: Weather) -> Result<Receipt, Refusal> {
        self.call(charge.key, weather, || self.ledger().charge(charge)).await
    }

    /// Gives back what was charged under a key, all of it, and once however often it is asked.
    /// Takes the latency, and books in its middle, as [`Provider::charge`] does.
    ///
    /// # Errors
    /// A [`Refusal`]: nothing went back.
    pub async fn refund(&self, key: Uuid, weather: Weather) -> Result<Receipt, Refusal> {
        self.call(key, weather, || self.ledger().refund(key)).await
    }

    /// What became of the charge with this key: the way out of an ambiguous outcome.
    ///
    /// Takes a tenth of the latency, in any weather. `None` says that nothing is booked *yet*: a
    /// charge that is still on its way may be booked after this answer.
    pub async fn find(&self, key: Uuid) -> Option<Receipt> {
        self.ledger().calls.questions += 1;
        sleep(self.latency / 10).await;
        self.ledger().find(key).cloned()
    }

    /// The provider's books, for comparing ours with. At once: no call that a service could make.
    pub fn books(&self) -> Books {
        Books { entries: self.ledger().entries.clone() }
    }

    /// The calls that have reached it, for comparing with what a caller thinks that it sent.
    pub fn calls(&self) -> Calls {
        self.ledger().calls
    }

    async fn call(
        &self,
        key: Uuid,
        weather: Weather,
        book: impl FnOnce() -> Result<Receipt, Refusal>,
    ) -> Result<Receipt, Refusal> {
        if weather.fails(key, self.ledger().arrived(key)) {
            self.ledger().calls.out_of_order += 1;
            return Err(Refusal::OutOfOrder);
        }
        let half = weather.lengthen(self.latency) / 2;
        sleep(half).await;
        let answer = if weather == Weather::Declines { Err(Refusal::Declined) } else { book() };
        if weather == Weather::Hangs {
            self.ledger().calls.unanswered += 1;
            return future::pending().await;
        }
        sleep(half).await;
        answer
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        // Whole after each of its operations, also where a thread panicked.
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Provider {
    fn default() -> Self {
        Self::new(Self::LATENCY)
    }
}

impl Ledger {
    /// Counts a call with this key. The how-manieth it is.
    fn arrived(&mut self, key: Uuid) -> u32 {
        self.calls.reached += 1;
        let attempts = self.attempts.entry(key).or_default();
        *attempts += 1;
        *attempts
    }

    fn charge(&mut self, charge: &Charge) -> Result<Receipt, Refusal> {
        let Charge { key, amount, ref card } = *charge;
        if amount < 1 {
            return Err(Refusal::Amount(amount));
        }
        if let Some(booked) = self.find(key) {
            return if booked.amount == amount {
                Ok(booked.clone())
            } else {
                Err(Refusal::KeyInUse { key, amount: booked.amount })
            };
        }
        accepts(card)?;
        self.write(format_args!("charge {key} {amount}"))?;
        Ok(self.enter(key, amount).clone())
    }

    fn refund(&mut self, key: Uuid) -> Result<Receipt, Refusal> {
        let at = *self.by_key.get(&key).ok_or(Refusal::NothingCharged(key))?;
        if !self.entries[at].receipt.refunded {
            self.write(format_args!("refund {key}"))?;
            self.entries[at].receipt.refunded = true;
        }
        Ok(self.entries[at].receipt.clone())
    }

    fn enter(&mut self, key: Uuid, amount: i64) -> &Receipt {
        let (at, reference) = (self.entries.len(), format!("ch_{:08}", self.entries.len() + 1));
        let receipt = Receipt { reference, amount, refunded: false };
        self.by_key.insert(key, at);
        self.entries.push(Entry { key, receipt });
        &self.entries[at].receipt
    }

    /// First in the file: what is not there is not booked.
    fn write(&mut self, line: fmt::Arguments<'_>) -> Result<(), Refusal> {
        let Some(file) = &mut self.file else { return Ok(()) };
        // In one piece, so that a process that is killed leaves a whole line or none. A full disk
        // may take half a line, which is taken back.
        let before = file.metadata().map_err(|_| Refusal::OutOfOrder)?.len();
        file.write_all(format!("{line}\n").as_bytes()).map_err(|_| {
            let _ = file.set_len(before);
            Refusal::OutOfOrder
        })
    }

    fn open(path: &Path) -> io::Result<Self> {
        let file = File::options().create(true).append(true).read(true).open(path)?;
        let mut ledger = Ledger::default();
        let text = io::read_to_string(&file)?;
        // A last line that does not end was never booked: who wrote it was told so, or is dead.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        file.set_len(whole as u64)?;
        for line in text[..whole].lines() {
            let garbled = || io::Error::other(format!("`{line}` is no booking"));
            let mut words = line.split(' ');
            let (what, key) = (words.next(), words.next().and_then(|key| key.parse().ok()));
            let amount = words.next().and_then(|amount| amount.parse().ok());
            match (what, key, amount) {
                (Some("charge"), Some(key), Some(amount)) => {
                    ledger.enter(key, amount);
                }
                (Some("refund"), Some(key), None) => {
                    let at = *ledger.by_key.get(&key).ok_or_else(garbled)?;
                    ledger.entries[at].receipt.refunded = true;
                }
                _ => return Err(garbled()),
            }
        }
        Ok(Ledger { file: Some(file), ..ledger })
    }

    fn find(&self, key: Uuid) -> Option<&Receipt> {
        self.by_key.get(&key).map(|&at| &self.entries[at].receipt)
    }
}

impl Books {
    /// All that was ever charged, in minor units.
    pub fn charged(&self) -> i64 {
        self.entries.iter().map(|entry| entry.receipt.amount).sum()
    }

    /// All that went back, in minor units.
    pub fn refunded(&self) -> i64 {
        let refunds = self.entries.iter().filter(|entry| entry.receipt.refunded);
        refunds.map(|entry| entry.receipt.amount).sum()
    }

    /// What the provider holds for us, in minor units. Compare it with our confirmed orders.
    pub fn kept(&self) -> i64 {
        self.charged() - self.refunded()
    }

    /// What was charged under a key.
    pub fn find(&self, key: Uuid) -> Option<&Receipt> {
        self.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.receipt)
    }
}

/// See the table of [test cards](self#test-cards).
fn accepts(card: &str) -> Result<(), Refusal> {
    let is = |kind: &str| card.starts_with(kind);
    if is("tok_ok") {
        Ok(())
    } else if is("tok_declined") {
        Err(Refusal::Declined)
    } else if is("tok_insufficient") {
        Err(Refusal::InsufficientFunds)
    } else if is("tok_expired") {
        Err(Refusal::ExpiredCard)
    } else {
        Err(Refusal::UnknownCard(card.to_owned()))
    }
}

#[cfg(test)]
mod tests;
