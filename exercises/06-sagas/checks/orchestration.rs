//! What an orchestrator must withstand.

mod beside;
mod database;
mod going;
mod keys;
mod patience;
mod resuming;
mod scene;
mod services;
mod unclear;
mod undoing;
mod writing;

use beside::{
    apart_after_an_outage, many_wait, nobody_waits_for_another, nothing_is_shared, one_id,
};
use database::{charged_and_not_told, declined, never_reached_it};
use going::{
    all_done, each_step_not_done, each_step_refused, not_done_is_tried_again, nothing_to_undo,
};
use keys::{another_process, keys_are_apart, same_key, successor};
use patience::{own_patience, pauses, pauses_in_the_dark};
use resuming::{
    only_the_first_after_a_resumption, resumed_and_asked, resumed_is_unclear, resumed_undoing,
};
use sagas::orchestration::Orchestrator;
use std::time::Duration;
use unclear::{
    asked_no_is_tried_again, each_no_counts, inquiry_is_asked_again, late_attempt,
    lost_answer_is_asked, panics_are_unclear, silence_ends, unclear_stays_unclear,
    unknown_for_good, unknown_is_undone,
};
use undoing::{
    final_refusal, final_refusal_of_any, only_forward, pivot_can_be_refused, unclear_pivot,
    undo_is_parked, undo_is_tried_again,
};
use writing::{left_in_the_middle, log_fails, written_before_the_next};

const PAGE: &str = "docs/lessons/orchestration.md";

/// Where PostgreSQL is asked, on a machine that is busy with much else.
const LONG: Duration = Duration::from_secs(20);

grading::checks! { S: Orchestrator; read(PAGE);
    all_done: "what is well is done once, in its order, and nothing is undone",
    each_step_refused: "step i is refused, and exactly the compensations i-1 to 1 run",
    each_step_not_done: "step i is not done at any attempt, and i-1 to 1 are undone",
    not_done_is_tried_again: "what was not done is tried again, and then it goes on",
    nothing_to_undo: "a step without a compensation is passed over on the way back",
    pauses: "pauses are uniform below a ceiling that doubles, and none is after the last attempt",
    pauses_in_the_dark: "the pauses are the same where nobody knows, and while somebody is asked",
    own_patience: "each step has its own patience, and so have its inquiry and its undoing",
    lost_answer_is_asked: "the answer was lost: the inquiry says done, and nothing is done twice",
    inquiry_is_asked_again: "an inquiry that has no answer is asked again",
    asked_no_is_tried_again: "the inquiry says not done, and the action is tried again",
    each_no_counts: "who hears not done each time comes to an end, and is asked each time",
    unknown_is_undone: "what may have been done is undone, and then i-1 to 1",
    unknown_for_good: "what may have been done and cannot be undone holds up no undoing",
    unclear_stays_unclear: "what lands after the saga has gone back finds itself undone",
    late_attempt: "an attempt that was given up lands later, and has one effect with the next",
    silence_ends: "an attempt without an answer is given up at its deadline, and not before",
    panics_are_unclear: "a panic is one more way not to know",
    undo_is_tried_again: "a compensation that fails twice is tried again, and nobody is asked",
    undo_is_parked: "what cannot be undone is parked with its reason, and nothing is undone twice",
    only_forward: "behind the pivot nothing is undone; what cannot be done is parked",
    pivot_can_be_refused: "a pivot that was certainly not done leaves the way back open",
    unclear_pivot: "a pivot of which nobody knows goes neither way",
    final_refusal: "a refusal that is final ends what was unclear, and nothing else does",
    final_refusal_of_any: "a refusal is final of any step that says so, also after a resumption",
    written_before_the_next: "an entry is in the log before the next step begins",
    log_fails: "what could not be written down is where it ends",
    left_in_the_middle: "dropped, it stops; its entries say where, and somebody goes on from there",
    resumed_is_unclear: "the step after a resumption may have been done, and is treated so",
    resumed_and_asked: "its inquiry is asked as any other, and a no is no more believed",
    resumed_undoing: "an undoing goes on with the undoing, and nobody is asked",
    only_the_first_after_a_resumption: "only that step is; and what is over stays over",
    same_key: "one key for all calls of a step, and no other step of any saga has it",
    another_process: "another process, which goes on with a saga, has the same keys"
        .process(successor::<S>),
    keys_are_apart: "names that run into one another, ids of any kind, and no two with one key",
    nobody_waits_for_another: "a saga that waits holds up no other",
    many_wait: "a thousand sagas wait for their services, and one more does not",
    one_id: "two sagas of different names have one id, and nothing else in common",
    nothing_is_shared: "two dozen sagas at once: each has its own steps, order, entries and end",
    apart_after_an_outage: "sagas that met one outage do not come back together",
    charged_and_not_told: "PostgreSQL: charged, and the answer lost: one order, charged once"
        .limit(LONG),
    never_reached_it: "PostgreSQL: the charge was lost on its way: one order, charged once"
        .limit(LONG),
    declined: "PostgreSQL: declined: the unit is back, once, though that answer was lost too"
        .limit(LONG),
}
