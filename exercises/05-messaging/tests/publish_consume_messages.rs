//! The words with which wrong answers are rejected, as a learner reads them.
//!
//! `INSTA_UPDATE=always cargo test -p messaging-exercises --test publish_consume_messages` accepts a
//! change of them.

use decoys::publish_consume;
use grading::explain;

/// The wrong answers that people really give. Each names the check that must reject it.
#[allow(unreachable_pub)] // they are written like the learner's own files
#[path = "../decoys"]
mod decoys {
    pub mod publish_consume;
}

#[test]
fn a_consumer_that_goes_with_its_connection_is_shown_after_the_fault() {
    let decoys = publish_consume::all();
    insta::assert_snapshot!(explain("publish_consume", decoys, "ends_with_its_connection"));
}

#[test]
fn a_queue_that_is_otherwise_is_told_in_the_brokers_words() {
    insta::assert_snapshot!(explain("publish_consume", publish_consume::all(), "transient_queue"));
}
