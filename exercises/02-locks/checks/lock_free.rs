//! What a stock that needs no lock must withstand, in each of three ways.

mod faults;
mod promises;
mod races;
mod scene;

use faults::{clean_connection, dropped_caller, forgets, gives_up, lost_answer, stalls};
use locks::lock_free::{ScriptStock, Stock, UpdateStock, WatchStock};
use promises::{answers, one_round_trip};
use races::{last_units, one_program, same_order};

const PAGE: &str = "docs/lessons/lock_free.md";

/// Three ways to keep a stock. What is wrong with one of them is told by its name.
pub trait Ways: Send + Sync + 'static {
    /// By a script on Redis.
    type Script: Stock;
    /// By `WATCH`, `MULTI` and `EXEC` on Redis.
    type Watch: Stock;
    /// By a conditional `UPDATE` in PostgreSQL.
    type Update: Stock;
}

/// The project's own.
pub struct Reference;

impl Ways for Reference {
    type Script = ScriptStock;
    type Watch = WatchStock;
    type Update = UpdateStock;
}

grading::checks! { W: Ways; read(PAGE);
    answers: "all units of an order are taken or none, and each answer says which",
    one_round_trip: "a take by script is one round trip, and decided in it",
    last_units: "of many who have all seen the last units, as many get them as there are",
    one_program: "callers of one program do not end each other's WATCH",
    same_order: "an order that is asked twice is sold once, and told the same",
    lost_answer: "wherever the connection breaks, the order asked again is sold once",
    dropped_caller: "a caller that goes away in the middle leaves nothing to the next",
    clean_connection: "after a refusal the connection is as good as new",
    gives_up: "who loses once tries again, and who loses each time says so",
    stalls: "a server that does not answer delays a call and does not stop it",
    forgets: "lost scripts and connections cost nothing, and a lost stock sells nothing",
}
