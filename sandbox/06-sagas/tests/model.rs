//! What has to be done next, against a plain model of it: random sagas, to whose steps everything
//! happens that can.
//!
//! The model is a stack: what is done lies on it, and the way back takes it off again. It knows
//! nothing of entries.

use proptest::prelude::*;
use sagas::saga::UnknownStep;
use sagas::{Entry, Failure, Next, Outcome, Saga, Step};

const NAMES: [&str; 6] = ["reserve", "charge", "pack", "confirm", "send", "thank"];

/// What comes of whatever is to be done.
#[derive(Clone, Copy, Debug)]
enum Comes {
    Well,
    Refused,
    Unknown,
    Parked,
}

struct Model {
    /// Which steps can be undone.
    undo: Vec<bool>,
    next: usize,
    stack: Vec<usize>,
    back: bool,
    parked: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Does {
    Act(usize),
    Compensate(usize),
    Rest(Outcome),
}

impl Model {
    fn does(&mut self) -> Does {
        if self.parked {
            return Does::Rest(Outcome::Parked);
        }
        if !self.back {
            return match self.next < self.undo.len() {
                true => Does::Act(self.next),
                false => Does::Rest(Outcome::Completed),
            };
        }
        while let Some(top) = self.stack.last() {
            if self.undo[*top] {
                return Does::Compensate(*top);
            }
            self.stack.pop();
        }
        Does::Rest(Outcome::Compensated)
    }

    /// The entry of what happened.
    fn happens(&mut self, does: &Does, comes: Comes) -> Entry {
        let reason = "for a reason".to_owned();
        let name = |at: &usize| NAMES[*at].to_owned();
        match (does, comes) {
            (Does::Rest(_), _) => {
                self.parked = false;
                Entry::Resumed
            }
            (Does::Act(at) | Does::Compensate(at), Comes::Parked) => {
                self.parked = true;
                Entry::Parked { step: name(at), reason }
            }
            (Does::Act(at), Comes::Well) => {
                self.stack.push(*at);
                self.next += 1;
                Entry::Done { step: name(at) }
            }
            (Does::Act(at), Comes::Refused) => {
                self.back = true;
                Entry::Refused { step: name(at), reason }
            }
            (Does::Act(at), Comes::Unknown) => {
                self.stack.push(*at);
                self.back = true;
                Entry::Unknown { step: name(at), reason }
            }
            (Does::Compensate(at), _) => {
                self.stack.pop();
                Entry::Undone { step: name(at) }
            }
        }
    }
}

async fn nothing() -> Result<(), Failure> {
    Ok(())
}

fn saga(undo: &[bool], pivot: Option<usize>) -> Saga<()> {
    let steps = NAMES.iter().zip(undo).enumerate();
    steps.fold(Saga::named("checkout"), |saga, (at, (name, undo))| {
        let step = Step::new(name, |_| nothing());
        let step = if *undo { step.undo(|_| nothing()) } else { step };
        saga.step(if pivot == Some(at) { step.pivot() } else { step })
    })
}

fn told(next: &Next<'_, ()>) -> Does {
    let place = |name| NAMES.iter().position(|other| *other == name).expect("a name of these");
    match next {
        Next::Act(step) => Does::Act(place(step.name)),
        Next::Compensate(step) => Does::Compensate(place(step.name)),
        Next::Rest(outcome) => Does::Rest(*outcome),
    }
}

fn comes() -> impl Strategy<Value = Comes> {
    prop_oneof![
        6 => Just(Comes::Well),
        1 => Just(Comes::Refused),
        1 => Just(Comes::Unknown),
        1 => Just(Comes::Parked),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn what_is_next_is_what_the_model_does(
        undo in prop::collection::vec(any::<bool>(), 0..=6),
        pivot in prop::option::of(0..6_usize),
        comes in prop::collection::vec(comes(), 0..30),
    ) {
        let saga = saga(&undo, pivot);
        let mut model = Model { undo, next: 0, stack: Vec::new(), back: false, parked: false };
        let mut entries = Vec::new();
        for comes in comes {
            let does = model.does();
            prop_assert_eq!(&told(&saga.next(&entries).unwrap()), &does);
            let past = entries.iter().any(|entry| {
                matches!(entry, Entry::Done { step } if pivot.is_some_and(|at| NAMES[at] == step))
            });
            prop_assert_eq!(saga.is_past_pivot(&entries).unwrap(), past);
            if matches!(does, Does::Rest(Outcome::Completed | Outcome::Compensated)) {
                break;
            }
            entries.push(model.happens(&does, comes));
        }
        // What is undone was begun before, and each once.
        let undone = |entry: &Entry| match entry {
            Entry::Undone { step } => Some(step.clone()),
            _ => None,
        };
        let all: Vec<String> = entries.iter().filter_map(undone).collect();
        for (at, entry) in entries.iter().enumerate() {
            let Some(step) = undone(entry) else { continue };
            prop_assert_eq!(all.iter().filter(|other| **other == step).count(), 1);
            let begun = entries[..at].iter().any(|entry| matches!(
                entry, Entry::Done { step: name } | Entry::Unknown { step: name, .. } if *name == step
            ));
            prop_assert!(begun, "{} was undone and never begun", step);
        }
    }

    #[test]
    fn entries_come_back_as_they_were(
        step in ".{0,12}", reason in ".{0,12}", which in 0..6_usize,
    ) {
        let entry = match which {
            0 => Entry::Done { step },
            1 => Entry::Refused { step, reason },
            2 => Entry::Unknown { step, reason },
            3 => Entry::Undone { step },
            4 => Entry::Parked { step, reason },
            _ => Entry::Resumed,
        };
        let text = serde_json::to_string(&entry).unwrap();
        prop_assert_eq!(serde_json::from_str::<Entry>(&text).unwrap(), entry);
    }
}

#[test]
fn what_stands_in_a_journal_is_readable() {
    let entry = Entry::Parked { step: "charge".to_owned(), reason: "away".to_owned() };
    let text = serde_json::to_string(&entry).unwrap();
    assert_eq!(text, r#"{"entry":"parked","step":"charge","reason":"away"}"#);
}

#[test]
fn a_step_that_the_saga_does_not_have_is_told_and_not_guessed() {
    let saga = saga(&[true, true], None);
    let unknown = Err(UnknownStep("ship".to_owned()));
    for entry in [
        Entry::Done { step: "ship".to_owned() },
        Entry::Undone { step: "ship".to_owned() },
        Entry::Parked { step: "ship".to_owned(), reason: String::new() },
    ] {
        assert_eq!(
            saga.next(&[entry]).map(|next| told(&next)),
            unknown.clone().map(|()| Does::Act(0))
        );
    }
}

#[test]
#[should_panic(expected = "two steps are named `reserve`")]
fn two_steps_of_one_name_are_refused() {
    let step = || Step::new("reserve", |_| nothing());
    let _ = Saga::<()>::named("checkout").step(step()).step(step());
}
