//! Wrong about what nobody knows.

use super::usual::{Asks, Usual, What};
use sagas::saga::{Act, Patience};
use sagas::{Failure, Run};
use std::time::Duration;

/// "It failed, so it was not done": goes back without asking, and leaves the charge. The most common
/// of all. Rejected by `charged_and_not_told`.
pub(super) struct GuessesItFailed;

impl Usual for GuessesItFailed {
    fn reads(failure: Failure, what: What) -> Failure {
        match failure {
            Failure::Unclear(reason) if what == What::Act => Failure::Refused(reason),
            other => other,
        }
    }
}

/// "It will have arrived": goods go out that nobody has paid. Rejected by `never_reached_it`.
pub(super) struct GuessesItWorked;

impl Usual for GuessesItWorked {
    fn will_do(failure: &Failure, what: What) -> bool {
        what == What::Act && matches!(failure, Failure::Unclear(_))
    }
}

/// As [`GuessesItWorked`], only of what was slow. Rejected by `asked_no_is_tried_again`.
pub(super) struct SilenceIsDone;

impl Usual for SilenceIsDone {
    fn will_do(failure: &Failure, what: What) -> bool {
        let silent = |reason: &String| reason.starts_with("no answer within");
        what == What::Act && matches!(failure, Failure::Unclear(reason) if silent(reason))
    }
}

/// Tries again, which is right, and forgets that it did not know. Rejected by `unknown_is_undone`.
pub(super) struct UnclearIsNotDone;

impl Usual for UnclearIsNotDone {
    fn reads(failure: Failure, what: What) -> Failure {
        match failure {
            Failure::Unclear(reason) if what == What::Act => Failure::NotDone(reason),
            other => other,
        }
    }
}

/// A timeout is an error, and an error is a no. Rejected by `unclear_stays_unclear`.
pub(super) struct SilenceIsNotDone;

impl Usual for SilenceIsNotDone {
    fn reads(failure: Failure, what: What) -> Failure {
        match failure {
            Failure::Unclear(reason)
                if what == What::Act && reason.starts_with("no answer within") =>
            {
                Failure::NotDone(reason)
            }
            other => other,
        }
    }
}

/// The last attempt is believed: it said "refused". The one before is still on its way. Rejected by
/// `unclear_stays_unclear`.
pub(super) struct BelievesTheLast;

impl Usual for BelievesTheLast {
    fn unclear(_: bool, failure: &Failure, _: Option<bool>) -> bool {
        matches!(failure, Failure::Unclear(_))
    }
}

/// The inquiry is believed: it said "no". It was asked before it landed. Rejected by
/// `unclear_stays_unclear`.
pub(super) struct BelievesANo;

impl Usual for BelievesANo {
    fn unclear(before: bool, failure: &Failure, asked: Option<bool>) -> bool {
        asked != Some(false) && (before || matches!(failure, Failure::Unclear(_)))
    }
}

/// Has an inquiry, and tries again instead. Rejected by `lost_answer_is_asked`.
pub(super) struct NeverAsks;

impl Usual for NeverAsks {
    const ASKS: Asks = Asks::Never;
}

/// Asks when all attempts are used up. Rejected by `lost_answer_is_asked`.
pub(super) struct AsksAtTheEnd;

impl Usual for AsksAtTheEnd {
    const ASKS: Asks = Asks::AtTheEnd;
}

/// Asks once, and the inquiry can be lost as well. Rejected by `inquiry_is_asked_again`.
pub(super) struct AsksOnce;

impl Usual for AsksOnce {
    fn attempts(patience: &Patience, what: What, _: bool) -> u32 {
        if what == What::Ask { 1 } else { patience.attempts }
    }
}

/// Nobody contradicts, so it was done. Rejected by `inquiry_is_asked_again`.
pub(super) struct NoAnswerIsYes;

impl Usual for NoAnswerIsYes {
    const NO_ANSWER: bool = true;
}

/// "Not done", says the inquiry, and the whole order is taken back for one lost packet. Rejected by
/// `asked_no_is_tried_again`.
pub(super) struct NoGoesBack;

impl Usual for NoGoesBack {
    const NO_GOES_BACK: bool = true;
}

/// Waits for an answer for as long as it takes. Rejected by `silence_ends`.
pub(super) struct NoDeadline;

impl Usual for NoDeadline {
    fn deadline(_: &Patience, _: Duration) -> Duration {
        Duration::from_secs(1_000_000)
    }
}

/// One deadline for all attempts: the first that hangs takes it with it. Rejected by
/// `silence_ends`.
pub(super) struct OneDeadlineForAll;

impl Usual for OneDeadlineForAll {
    fn deadline(_: &Patience, left: Duration) -> Duration {
        left
    }
}

/// Half of the time will do. Rejected by `silence_ends`.
pub(super) struct GivesUpEarly;

impl Usual for GivesUpEarly {
    fn deadline(patience: &Patience, _: Duration) -> Duration {
        patience.deadline / 2
    }
}

/// A timeout around a task: the task is left alone, and works on. Rejected by `silence_ends`.
pub(super) struct LeavesItRunning;

impl Usual for LeavesItRunning {
    async fn attempt<C, T>(call: &Act<C, T>, run: Run<C>, deadline: Duration) -> Result<T, Failure>
    where
        C: Send + Sync + 'static,
        T: Send + 'static,
    {
        match tokio::time::timeout(deadline, tokio::spawn(call(run))).await {
            Ok(Ok(answer)) => answer,
            _ => Err(Failure::Unclear(format!("no answer within {deadline:?}"))),
        }
    }
}

/// Each attempt in a task of its own, so that a panic is caught. Whoever is dropped leaves it behind.
/// Rejected by `left_in_the_middle`.
pub(super) struct SpawnsAttempts;

impl Usual for SpawnsAttempts {
    async fn attempt<C, T>(call: &Act<C, T>, run: Run<C>, deadline: Duration) -> Result<T, Failure>
    where
        C: Send + Sync + 'static,
        T: Send + 'static,
    {
        let call = call.clone();
        let attempt =
            tokio::spawn(async move { sagas::orchestration::attempt(&call, run, deadline).await });
        attempt.await.unwrap_or_else(|error| Err(Failure::Unclear(error.to_string())))
    }
}

/// A panic in a step takes the orchestrator along. Rejected by `panics_are_unclear`.
pub(super) struct PanicsAsWell;

impl Usual for PanicsAsWell {
    async fn attempt<C, T>(call: &Act<C, T>, run: Run<C>, deadline: Duration) -> Result<T, Failure>
    where
        C: Send + Sync + 'static,
        T: Send + 'static,
    {
        match tokio::time::timeout(deadline, call(run)).await {
            Ok(answer) => answer,
            Err(_) => Err(Failure::Unclear(format!("no answer within {deadline:?}"))),
        }
    }
}

/// Who panics has done nothing. Rejected by `panics_are_unclear`.
pub(super) struct PanicIsRefused;

impl Usual for PanicIsRefused {
    fn reads(failure: Failure, _: What) -> Failure {
        match failure {
            Failure::Unclear(reason) if reason.starts_with("it panicked") => {
                Failure::Refused(reason)
            }
            other => other,
        }
    }
}

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
