//! Wrong about the key of a step.

use super::usual::{Usual, What};
use std::sync::LazyLock;

/// A key for each attempt: the service cannot know that it is the same. Rejected by `late_attempt`.
pub(super) struct NewKeyEachAttempt;

impl Usual for NewKeyEachAttempt {
    fn key(saga: &str, step: &str, id: &str, attempt: u32, _: What) -> String {
        format!("{saga}/{step}/{attempt}/{id}")
    }
}

/// A key drawn at random, and lost with the process. Rejected by `same_key`.
pub(super) struct RandomKey;

impl Usual for RandomKey {
    fn key(_: &str, _: &str, _: &str, _: u32, _: What) -> String {
        format!("{:032x}", rand::random::<u128>())
    }
}

/// One key for the whole order: the second step is taken for the first. Rejected by `same_key`.
pub(super) struct KeyOfTheSaga;

impl Usual for KeyOfTheSaga {
    fn key(saga: &str, _: &str, id: &str, _: u32, _: What) -> String {
        format!("{saga}/{id}")
    }
}

/// One key for all orders: the second customer is taken for the first. Rejected by `same_key`.
pub(super) struct KeyOfTheStep;

impl Usual for KeyOfTheStep {
    fn key(saga: &str, step: &str, _: &str, _: u32, _: What) -> String {
        format!("{saga}/{step}")
    }
}

/// `pack` of 17 and `pack1` of 7 are one. Rejected by `same_key`.
pub(super) struct NothingBetween;

impl Usual for NothingBetween {
    fn key(saga: &str, step: &str, id: &str, _: u32, _: What) -> String {
        format!("{saga}/{step}{id}")
    }
}

/// As [`NothingBetween`], with a sign that names hold as well. Rejected by `same_key`.
pub(super) struct AHyphenBetween;

impl Usual for AHyphenBetween {
    fn key(saga: &str, step: &str, id: &str, _: u32, _: What) -> String {
        format!("{saga}-{step}-{id}")
    }
}

/// The order's refund has the order's id, and a step of the same name. Rejected by `same_key`.
pub(super) struct NoNameOfTheSaga;

impl Usual for NoNameOfTheSaga {
    fn key(_: &str, step: &str, id: &str, _: u32, _: What) -> String {
        format!("{step}/{id}")
    }
}

/// The compensation has a key of its own, and finds nothing under it. Rejected by `same_key`.
pub(super) struct UndoHasItsOwnKey;

impl Usual for UndoHasItsOwnKey {
    fn key(saga: &str, step: &str, id: &str, _: u32, what: What) -> String {
        match what {
            What::Undo => format!("{saga}/undo-{step}/{id}"),
            _ => format!("{saga}/{step}/{id}"),
        }
    }
}

/// A part of the key is drawn when the program starts, so that no two servers have one. The one that
/// goes on with a saga is another server. Rejected by `another_process`.
pub(super) struct KeyOfTheProcess;

impl Usual for KeyOfTheProcess {
    fn key(saga: &str, step: &str, id: &str, _: u32, _: What) -> String {
        static SERVER: LazyLock<u64> = LazyLock::new(rand::random);
        format!("{:016x}/{saga}/{step}/{id}", *SERVER)
    }
}

/// A colon between, as in most keys that one has seen. Names hold colons: `shop:pay` has a `card`, and
/// `shop` a `pay:card`. Rejected by `keys_are_apart`.
pub(super) struct AColonBetween;

impl Usual for AColonBetween {
    fn key(saga: &str, step: &str, id: &str, _: u32, _: What) -> String {
        format!("{saga}:{step}:{id}")
    }
}

/// The id is cleaned, for it may hold a slash: `17/1` and `17-1` are one. Rejected by
/// `keys_are_apart`.
pub(super) struct CleansTheId;

impl Usual for CleansTheId {
    fn key(saga: &str, step: &str, id: &str, _: u32, _: What) -> String {
        let clean = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '-' };
        format!("{saga}/{step}/{}", id.chars().map(clean).collect::<String>())
    }
}

/// The provider takes 64 letters, and the rest is cut off. Rejected by `keys_are_apart`.
pub(super) struct SixtyFourLetters;

impl Usual for SixtyFourLetters {
    fn key(saga: &str, step: &str, id: &str, _: u32, _: What) -> String {
        format!("{saga}/{step}/{id}").chars().take(64).collect()
    }
}
