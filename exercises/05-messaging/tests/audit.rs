//! Grades the graders: the starter fails, the reference passes, each decoy dies where it must.

use grading::Lesson;
use messaging::confirms::Confirmed;
use messaging::dead_letters::RabbitWard;
use messaging::idempotent_consumer::PgInbox;
use messaging::publish_consume::RabbitCourier;
use messaging_exercises::{confirms, dead_letters, idempotent_consumer, publish_consume};

/// The wrong answers that people really give. Each names the check that must reject it.
#[allow(unreachable_pub)] // they are written like the learner's own files
#[path = "../decoys"]
mod decoys {
    pub mod confirms;
    pub mod dead_letters;
    pub mod idempotent_consumer;
    pub mod publish_consume;
}

/// The untouched starters. They must fail.
#[allow(unreachable_pub)]
#[path = "../starters"]
mod starters {
    pub mod confirms;
    pub mod dead_letters;
    pub mod idempotent_consumer;
    pub mod publish_consume;
}

fn main() -> std::process::ExitCode {
    grading::audit(vec![
        Lesson {
            name: "publish_consume",
            starter: publish_consume::checks::<starters::publish_consume::MyCourier>(),
            reference: publish_consume::checks::<RabbitCourier>(),
            decoys: decoys::publish_consume::all(),
        },
        Lesson {
            name: "confirms",
            starter: confirms::checks::<starters::confirms::MyPublisher>(),
            reference: confirms::checks::<Confirmed>(),
            decoys: decoys::confirms::all(),
        },
        Lesson {
            name: "dead_letters",
            starter: dead_letters::checks::<starters::dead_letters::MyWard>(),
            reference: dead_letters::checks::<RabbitWard>(),
            decoys: decoys::dead_letters::all(),
        },
        Lesson {
            name: "idempotent_consumer",
            starter: idempotent_consumer::checks::<starters::idempotent_consumer::MyInbox>(),
            reference: idempotent_consumer::checks::<PgInbox>(),
            decoys: decoys::idempotent_consumer::all(),
        },
    ])
}
