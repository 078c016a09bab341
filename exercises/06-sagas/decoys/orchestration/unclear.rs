//! Wrong about what nobody knows.

use super::usual::{Asks, Usual, What, comes_to};
use sagas::saga::{Act, Patience};
use sagas::{Entry, Failure, Run, Step};
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
    fn unclear(_: bool, failure: &Failure, _: Option<bool>, _: bool) -> bool {
        matches!(failure, Failure::Unclear(_))
    }
}

/// The inquiry is believed: it said "no". It was asked before it landed. Rejected by
/// `unclear_stays_unclear`.
pub(super) struct BelievesANo;

impl Usual for BelievesANo {
    fn unclear(before: bool, failure: &Failure, asked: Option<bool>, _: bool) -> bool {
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

/// Who says "not done" has said so, and needs not be asked again: also not of the next attempt, which
/// was done. Rejected by `each_no_counts`.
pub(super) struct AsksUntilANo;

impl Usual for AsksUntilANo {
    const ASKS: Asks = Asks::UntilANo;
}

/// "Not done", so the attempt was none, and is not counted. While the way to the service is broken, and
/// the way to ask is not, it goes on for ever. Rejected by `each_no_counts`.
pub(super) struct ANoDoesNotCount;

impl Usual for ANoDoesNotCount {
    const A_NO_COUNTS: bool = false;
}

/// Whoever refuses to say whether it was done is taken for one who refuses to do it: one `match` for all
/// calls of a step. Rejected by `inquiry_is_asked_again`.
pub(super) struct RefusedToSay;

impl Usual for RefusedToSay {
    const A_REFUSED_INQUIRY_IS_A_NO_FOR_GOOD: bool = true;
}

/// A refusal settles nothing where an earlier attempt is on its way, so the declined card is tried
/// again, and again. Rejected by `unclear_stays_unclear`.
pub(super) struct TriesRefusedAgainInTheDark;

impl Usual for TriesRefusedAgainInTheDark {
    fn tries_refused_again(unclear: bool) -> bool {
        unclear
    }
}

/// May have been done, and cannot be undone: a person has to look, and all that was done before stays
/// as it is. Rejected by `unknown_for_good`.
pub(super) struct ParksWhatCannotBeUndone;

impl Usual for ParksWhatCannotBeUndone {
    fn comes_to<C>(step: &Step<C>, forward_only: bool, unclear: bool, reason: String) -> Entry {
        let for_good = unclear && step.compensation.is_none();
        comes_to(step, forward_only || for_good, unclear, reason)
    }
}
