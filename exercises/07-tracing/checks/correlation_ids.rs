//! What the id of a request must withstand.

mod arriving;
mod asking;
mod beside;
mod door;
mod log;
mod scene;
mod whole;
mod witness;
mod working;

use arriving::{
    believed, every_answer, made_anew, many_new, odd_ones, one_on_the_answer, two_headers,
};
use asking::{asked_for_nobody, asked_in_a_bare_task, passed_on};
use beside::{begun_for_nobody, clean_threads, in_a_task, in_a_thread, waited_for};
use observability::correlation_ids::CorrelationIds;
use whole::{another_process, payments, three_services};
use working::{every_line, hung_up_on, interleaved, nowhere_else, quiet_log, unwinding};

const PAGE: &str = "docs/lessons/correlation_ids.md";

grading::checks! { S: CorrelationIds; read(PAGE);
    made_anew: "who brings no id gets a new one, and is told it",
    believed: "a plain id from outside is kept as it is",
    odd_ones: "what is not plain is replaced, and not mended",
    two_headers: "of several ids none is believed",
    one_on_the_answer: "the answer carries one id, whatever the service has put there",
    every_answer: "an answer carries its id whatever its status, and errors pass",
    many_new: "no two requests get the same new id",
    every_line: "every line carries the id, from the first to the last",
    interleaved: "two requests that take turns on a thread keep their own ids",
    nowhere_else: "what is logged for no request carries no id",
    unwinding: "a panic is logged with its id, and leaves nothing of it behind",
    hung_up_on: "what is logged when a customer hangs up carries the id",
    quiet_log: "a log that shows only warnings loses no id",
    in_a_task: "a task carries the id, also after the answer",
    in_a_thread: "a thread carries the id, and all that it waits for",
    clean_threads: "a thread is as it was before, also after a panic",
    waited_for: "work that another request waits for keeps its own id",
    begun_for_nobody: "what was begun for nobody stays nobody's",
    passed_on: "the next service is told the one id that counts",
    asked_in_a_bare_task: "who polls the call does not matter",
    asked_for_nobody: "a call of nobody's goes out as it is",
    three_services: "of many customers at once, each has one id in three services",
    another_process: "the id goes into another process, and none is made twice"
        .process(payments::<S>),
}
