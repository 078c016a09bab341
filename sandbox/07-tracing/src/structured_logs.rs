//! 07.2 · Structured logs: lines that a machine can search, and that give nobody away.
//!
//! Logs are copied: to a collector, a search index, a backup, a colleague's laptop, a ticket. Whoever
//! reads any of these reads them all, and what stands in them once cannot be called back. Twitter,
//! GitHub and Facebook all had to tell their users that passwords had been written into logs. The
//! contract [`StructuredLogs`] names the promises, [`JsonLines`] keeps them:
//!
//! | promise | how |
//! | --- | --- |
//! | A query finds it | one JSON object a line, with level, target, message and fields that keep their types |
//! | Nobody else writes a line | what could begin one, or colour a terminal, is escaped; the caller's fields have a place of their own |
//! | Secrets stay where they are | [`Policy`] hides what is *called* a secret, and what *looks* like one, in every text |
//! | A value cannot do harm | one that is huge is cut, one whose `Debug` panics says so, a writer that fails fails alone |
//! | What is not wanted costs nothing | [`Wanted`] is asked before any value is looked at |
//! | The level changes while it runs | [`Wanted::changeable`]; what cannot be read changes nothing |
//!
//! [`Lines`](crate::lines::Lines) is the same as a layer of `tracing-subscriber`. [`Secret`] is for
//! what should not come as far as a log at all, and is the better half: what has no `Display` needs
//! nobody to find it.
//!
//! What it does not promise:
//!
//! - **That every secret is found.** `"the code is 4711"` has no name and no look. A policy is the
//!   net below the rope, and [`Secret`] is the rope.
//! - **That nothing else is hidden.** Of twenty order numbers with 16 digits one passes as a card's.
//!   Put a letter before it.
//! - **That a line arrives.** A line that cannot be written is lost, and a writer that blocks holds up
//!   the thread that logs, unless it writes [`Aside`](crate::lines::Aside). 07.8 takes the lines from
//!   there.
//!
//! Sources: OWASP, [*Logging Cheat Sheet*](https://cheatsheetseries.owasp.org/cheatsheets/Logging_Cheat_Sheet.html),
//! what must not be in a log; [CWE-532](https://cwe.mitre.org/data/definitions/532.html) and
//! [CWE-117](https://cwe.mitre.org/data/definitions/117.html), what happens otherwise;
//! [RFC 8259](https://www.rfc-editor.org/rfc/rfc8259#section-6), which numbers JSON can carry.

mod cards;
mod line;
mod looks;
mod names;
mod policy;
mod raised;
mod secret;
mod wanted;

use std::io;
use std::sync::{PoisonError, RwLock};

pub(crate) use line::{Told, escaped, json};
pub use names::{ABOUT, SECRETS};
pub use policy::Policy;
pub use raised::{Raised, Said};
pub use secret::Secret;
pub use wanted::{BadDirective, Changing, Filtering, Wanted};

// ANCHOR: contract
/// The contract: which events become lines, and what a line is.
pub trait StructuredLogs: Send + Sync + Sized + 'static {
    /// A log of what `wanted` says: directives with commas between, and spaces around them if
    /// somebody likes that. Each is a level (`off`, `error`, `warn`, `info`, `debug`, `trace`, in any
    /// case) or `target=level`.
    ///
    /// A directive is about its target, as the program writes it, and what lies below: `orders` and
    /// `orders::saga`, and not `orders_archive` or `orders-archive`. Of several the longest target
    /// decides, wherever it stands. A level alone is about all others; without one, of the others
    /// nothing is wanted.
    ///
    /// # Errors
    /// The first directive that is none, as it was written: an unknown level, no target before `=`,
    /// nothing between two commas, nothing at all, or a target that already had its turn.
    fn new(wanted: &str) -> Result<Self, BadDirective>;

    /// From now on `wanted` is wanted of this log, by all threads, whatever is being written or prints
    /// itself at the moment. Other logs of the process keep their own.
    ///
    /// # Errors
    /// As [`StructuredLogs::new`]; and then everything stays as it was.
    fn change(&self, wanted: &str) -> Result<(), BadDirective>;

    /// Writes `event` to `to`, if it is wanted: in one piece, however long it is, since others write
    /// there, too. If `to` fails, or takes nothing more, the line is lost and nothing else happens: what
    /// was taken is not written again. Of what is not wanted no value is asked for.
    ///
    /// The line is one JSON object and `\n`:
    ///
    /// ```text
    /// {"timestamp":"…","level":"INFO","target":"orders","message":"placed","request_id":"…","fields":{"lines":3}}
    /// ```
    ///
    /// - `message` is the first field of that name as a text, whatever its type, or `""`. All others
    ///   are in `fields`, whatever they are called, a second `message` included. `request_id` and
    ///   `fields` are left out where there is none.
    /// - **Types stay.** Text is text, `true` is `true`, a number is a number, unless JSON cannot carry
    ///   it: beyond ±(2⁵³ − 1) a reader may round, so it is written as text, digit by digit; so are
    ///   `"NaN"`, `"inf"` and `"-inf"`.
    /// - **Errors** are told with all their sources, `": "` between.
    /// - **One line stays one**: characters of control (C0, DEL, C1), U+2028, U+2029 and those that
    ///   change the direction of writing (U+200E, U+200F, U+061C, U+202A to U+202E, U+2066 to U+2069)
    ///   are escaped. Who reads the JSON gets the text as it was.
    /// - **Secrets** are [`REDACTED`], and the text around them stays.
    ///   - *A field by its name*, whatever its value: some of its words in a row, put together, are one
    ///     of [`SECRETS`], or the plural with `s`, and its last word is not one of [`ABOUT`] that comes
    ///     after them. Words are what is between punctuation, digits and the capitals of `camelCase`:
    ///     `userEmail`, `user.e-mail` and `EMAIL` all have `email` in them.
    ///   - *In a text, behind such a name*, which may be in quotes or in brackets, and `:`, `=` or `(`,
    ///     with or without spaces: what is in quotes, in brackets, or bare up to `,`, `;`, `&` or a
    ///     space, if that is not before a digit, as in a telephone number. Behind `authorization` and
    ///     `cookie`, and names that end so, the rest of the line, or of the quotes around it. `Debug`,
    ///     JSON (also in quotes once more), queries and headers are such texts; messages and errors may
    ///     be.
    ///   - *In a text, by its look*, in the `request_id` as well, since that may come from outside:
    ///     email addresses; what stands before `@` in a URL; `Bearer` and a token (of 20 letters, or
    ///     with a digit in it); JWTs (`eyJ…`), whole or cut; and card numbers, which may also come as a
    ///     number: 13 to 19 digits with Luhn's check digit, beginning with 2 to 6, in one or in groups
    ///     of at least three with spaces or hyphens between, and no part of a longer word, of a UUID or
    ///     of a fraction (`0.4111…`; a comma separates).
    /// - **A text of more than [`LONGEST`] bytes** is cut there, at the character before if that is in
    ///   the midst of one, and [`CUT`] follows. No part of a secret is left at the cut.
    /// - **A value whose `Debug` or `Display` panics**, or fails, is [`UNPRINTABLE`]; the rest of the
    ///   line is as always.
    fn write(&self, event: &Raised<'_>, to: &mut dyn io::Write);
}

/// Stands in the place of a secret.
pub const REDACTED: &str = "[redacted]";

/// So many bytes a text may have. Docker splits a line at 16 KiB
/// ([moby#32923](https://github.com/moby/moby/issues/32923)), and half a JSON object is none.
pub const LONGEST: usize = 4_096;

/// Stands at the end of a text that went on.
pub const CUT: &str = " [cut]";

/// Stands in the place of a value that could not be printed.
pub const UNPRINTABLE: &str = "[unprintable]";
// ANCHOR_END: contract

/// The reference: the parts of this module, put together.
#[derive(Debug)]
pub struct JsonLines {
    wanted: RwLock<Wanted>,
    policy: Policy,
}

// ANCHOR: lines
impl StructuredLogs for JsonLines {
    fn new(wanted: &str) -> Result<JsonLines, BadDirective> {
        Ok(JsonLines { wanted: RwLock::new(Wanted::parse(wanted)?), policy: Policy::standard() })
    }

    fn change(&self, wanted: &str) -> Result<(), BadDirective> {
        // Read to its end before anything changes: half a change is a third log that nobody asked for.
        let wanted = Wanted::parse(wanted)?;
        *self.wanted.write().unwrap_or_else(PoisonError::into_inner) = wanted;
        Ok(())
    }

    fn write(&self, event: &Raised<'_>, to: &mut dyn io::Write) {
        // Asked and let go: what is held while a value prints itself, or while a reader is stuck,
        // holds up whoever changes the level.
        let wanted = self.wanted.read().unwrap_or_else(PoisonError::into_inner);
        let is_wanted = wanted.wants(event.level, event.target);
        drop(wanted);
        if is_wanted {
            // If nobody reads it any more, that is no reason to refuse the request.
            let _ = to.write_all(json(event, &Told::of(event, &self.policy)).as_bytes());
        }
    }
}
// ANCHOR_END: lines
