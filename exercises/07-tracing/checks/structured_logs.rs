//! What the lines of a log must withstand.

mod harm;
mod hiding;
mod scene;
mod shape;
mod telling;
mod wanting;
mod writing;

use harm::{cut, unprintable};
use hiding::{by_name, cards, credentials, emails, harmless};
use observability::structured_logs::StructuredLogs;
use shape::{no_second_line, odd_numbers, one_object, own_names, typed};
use std::time::Duration;
use telling::{in_a_debug, in_an_error};
use wanting::{bad_directive, changed, most_specific, unwanted};
use writing::{broken_writer, one_write, slow_value, stuck};

const PAGE: &str = "docs/lessons/structured_logs.md";

/// Nothing here waits for so long. A thousand long texts on a busy machine take their time.
const LIMIT: Duration = Duration::from_secs(15);

grading::checks! { S: StructuredLogs; read(PAGE), limit(LIMIT);
    one_object: "a line is one JSON object with level, target, message and fields",
    typed: "a number stays a number, and a text a text",
    odd_numbers: "what JSON cannot carry as a number is told as text, digit by digit",
    no_second_line: "no value begins a line or commands a terminal, and all are read as they were",
    own_names: "no field of the caller's takes the place of one of ours",
    by_name: "what is called a secret is hidden, however it is spelt and whatever it is",
    harmless: "what only resembles a secret stays",
    emails: "email addresses are hidden in all texts, and the words around them stay",
    cards: "card numbers are hidden as they are written, in texts and in numbers",
    credentials: "tokens, and what stands before @ in a URL, are hidden",
    in_a_debug: "what a Debug, a JSON text or a query gives away is hidden",
    in_an_error: "errors are told with their sources, without their secrets",
    cut: "what is too long is cut between two characters, and through no secret",
    unprintable: "a value that cannot be printed spoils nothing but itself",
    unwanted: "of what is not wanted no value is looked at",
    most_specific: "the longest target decides, wherever it stands",
    changed: "the level changes while the program runs",
    bad_directive: "what cannot be read is named, and changes nothing",
    one_write: "nobody else's line comes between the pieces of one",
    broken_writer: "a writer that takes a little or nothing stops nobody",
    stuck: "a reader that hangs does not keep the level from changing",
    slow_value: "nor does a value that takes its time to print itself",
}
