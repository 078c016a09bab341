//! What stands in the log, and what is left where it ends.

use super::scene::{FOREVER, Order, Plan, Reply, STEPS, Scene, What, first, plan, play, told};
use grading::{Evidence, Finding, SOON, World};
use sagas::orchestration::{Error, Orchestrator};
use sagas::saga::Patience;
use sagas::{Outcome, Saga};
use std::time::Duration;
use testbed::gate::Gate;
use tokio::time::{sleep, timeout};

/// A saga of four steps in which each call has one entry, and what it comes to.
struct Way {
    calls: &'static [&'static str],
    replies: Vec<(What, &'static str, Reply)>,
    outcome: Outcome,
}

/// One with each kind of entry.
fn ways() -> [Way; 4] {
    [
        Way { calls: &STEPS[..4], replies: Vec::new(), outcome: Outcome::Completed },
        Way {
            calls: &[
                "reserve",
                "charge",
                "pack",
                "send",
                "undo pack",
                "undo charge",
                "undo reserve",
            ],
            replies: vec![(What::Act, "send", Reply::Refused)],
            outcome: Outcome::Compensated,
        },
        Way {
            calls: &["reserve", "charge", "undo charge", "undo reserve"],
            replies: vec![(What::Act, "charge", Reply::NeverCame)],
            outcome: Outcome::Compensated,
        },
        Way {
            calls: &["reserve", "charge", "pack", "undo charge"],
            replies: vec![
                (What::Act, "pack", Reply::Refused),
                (What::Undo, "charge", Reply::Refused),
            ],
            outcome: Outcome::Parked,
        },
    ]
}

impl Way {
    fn saga<S: Orchestrator>(&self, scene: &Scene<S>, patience: Patience) -> Saga<Order> {
        for (what, step, reply) in &self.replies {
            scene.services.always(*what, step, reply.clone());
        }
        scene.services.saga("checkout", &first(4), Patience { attempts: 1, ..patience })
    }
}

pub(super) async fn written_before_the_next<S: Orchestrator>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        for way in ways() {
            let scene = stage.scene::<S>();
            let saga = way.saga(&scene, stage.patience());
            each_is_held(&way, &scene, saga).await?;
        }
        Ok(())
    })
    .await
}

async fn each_is_held<S: Orchestrator>(
    way: &Way,
    scene: &Scene<S>,
    saga: Saga<Order>,
) -> Result<(), Finding> {
    let mut gate = Gate::shut();
    scene.log.holds(Some(gate.clone()));
    let runs = scene.clone();
    let mut run = tokio::spawn(async move { runs.run(&saga, "order").await });
    for calls in 1..=way.calls.len() {
        let came = tokio::select! {
            came = gate.arrived(1, SOON) => came.is_ok(),
            _ = &mut run => false,
        };
        // As long as the entry is on its way, nothing else may begin.
        sleep(FOREVER).await;
        let made = scene.services.called();
        if !came || made.len() != calls {
            let line = scene.note(match came {
                true => format!("entry {calls} is on its way for a day"),
                false => format!("no entry {calls}"),
            });
            let expected =
                format!("entry {calls} held after `{}`, and no call", way.calls[calls - 1]);
            let last = made.last().map_or("no call".to_owned(), ToString::to_string);
            let saw = format!("{} calls, the last of them `{last}`", made.len());
            return Err(Evidence::new(expected, saw).at(line).into());
        }
        let next = Gate::shut();
        scene.log.holds(Some(next.clone()));
        gate.open();
        gate = next;
    }
    let outcome = run.await?;
    match outcome {
        Ok(outcome) if outcome == way.outcome => Ok(()),
        other => {
            let line = scene.note("the run is over");
            let expected = format!("{:?}", way.outcome);
            Err(Evidence::new(expected, format!("{other:?}")).at(line).into())
        }
    }
}

pub(super) async fn log_fails<S: Orchestrator>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        for way in ways() {
            for nth in 1..=way.calls.len() {
                let scene = stage.scene::<S>();
                let saga = way.saga(&scene, stage.patience());
                scene.log.fails_at(nth);
                let ended = scene.runs(&saga).await?;
                ended.did(&way.calls[..nth])?;
                match &ended.answer {
                    Err(Error::Log(_)) => {}
                    Err(other) => return Err(ended.not("an error of the log", other.to_string())),
                    Ok(outcome) => {
                        return Err(ended.not("an error of the log", format!("{outcome:?}")));
                    }
                }
                if scene.log.appended() != nth {
                    let saw = format!("{} entries", scene.log.appended());
                    return Err(ended.not("nothing written after that", saw));
                }
                // The log is well again, and somebody goes on.
                let ended = scene.resumes(&saga, ended.entries).await?;
                ended.is(way.outcome)?;
            }
        }
        Ok(())
    })
    .await
}

/// What a run is at when it is left.
#[derive(Clone, Copy, Debug)]
enum Left {
    Acting,
    Pausing,
    Asking,
    Writing,
    Undoing,
}

pub(super) async fn left_in_the_middle<S: Orchestrator>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        let (second, hour) = (Duration::from_secs(1), Duration::from_secs(3_600));
        for left in [Left::Acting, Left::Pausing, Left::Asking, Left::Writing, Left::Undoing] {
            let scene = stage.scene::<S>();
            let patience = Patience { attempts: 3, deadline: hour, ..stage.patience() };
            let plans: Vec<Plan> = match left {
                Left::Asking => STEPS[..3].iter().map(|step| plan(step).asked()).collect(),
                _ => first(3),
            };
            let saga = scene.services.saga("checkout", &plans, patience);
            let (services, log) = (&scene.services, &scene.log);
            match left {
                Left::Acting => services.says(What::Act, "charge", [Reply::Hangs]),
                // Pauses are short here, so it is the second attempt that is left.
                Left::Pausing => {
                    services.says(What::Act, "charge", [Reply::NotDone, Reply::Hangs]);
                }
                Left::Asking => {
                    services.says(What::Act, "charge", [Reply::Lost]);
                    services.says(What::Ask, "charge", [Reply::Hangs]);
                }
                Left::Writing => log.holds(Some(Gate::shut())),
                Left::Undoing => {
                    services.always(What::Act, "pack", Reply::Refused);
                    services.says(What::Undo, "charge", [Reply::Hangs]);
                }
            }
            let id = format!("order-{}", scene.number);
            if timeout(second, scene.run(&saga, &id)).await.is_ok() {
                let line = scene.note("it is over");
                let saw = "an end, while something was to be waited for";
                return Err(Evidence::new("no end as yet", saw).at(line).into());
            }
            let line = scene.note("is dropped");
            log.holds(None);
            let (calls, entries) = (services.called().len(), log.entries(&id));
            sleep(second).await;
            let waits = !matches!(left, Left::Writing) && services.left_alone() == 0;
            sleep(FOREVER).await;
            let (later, more) = (services.called(), log.entries(&id));
            if later.len() != calls || more != entries || waits {
                let saw = match later.len() - calls {
                    0 if waits => "the call still waits for its answer".to_owned(),
                    0 => "another entry".to_owned(),
                    more => format!("{more} more"),
                };
                return Err(Evidence::new("no call after that, and none kept", saw)
                    .at(line)
                    .into());
            }
            // Somebody goes on, from the entries.
            let so_far: Vec<String> = entries.iter().map(told).collect();
            let before = [&["done reserve"][..], &["done charge", "refused pack"]].concat();
            let (known, calls, outcome): (&[&str], &[&str], Outcome) = match left {
                Left::Acting | Left::Pausing => {
                    (&before[..1], &["charge", "pack"], Outcome::Completed)
                }
                Left::Asking => (&before[..1], &["ask charge", "pack"], Outcome::Completed),
                Left::Writing => (&[], &["reserve", "charge", "pack"], Outcome::Completed),
                Left::Undoing => {
                    (&before[..], &["undo charge", "undo reserve"], Outcome::Compensated)
                }
            };
            if so_far != known {
                let (expected, saw) = (known.join(", "), so_far.join(", "));
                let expected = format!("in the log: {expected}");
                return Err(Evidence::new(expected, saw).at(line).into());
            }
            let ended = scene.resumes(&saga, entries).await?;
            ended.did(calls)?;
            ended.is(outcome)?;
            let stands = usize::from(outcome == Outcome::Completed);
            let why = "what was begun before was begun with the same key";
            scene.stand(&[("reserve", stands), ("charge", stands)], why)?;
        }
        Ok(())
    })
    .await
}
