//! What stands in the log, and what becomes of a saga that goes on from there.

use super::scene::{FOREVER, Order, Plan, Reply, STEPS, Scene, What, first, plan, play, told};
use grading::{Evidence, Finding, SOON, World};
use sagas::orchestration::{Error, Orchestrator};
use sagas::saga::Patience;
use sagas::{Entry, Outcome, Saga};
use std::time::Duration;
use testbed::gate::Gate;
use tokio::time::{sleep, timeout};

/// The calls of a saga of four steps whose last is refused; each of them has one entry.
const CALLS: [&str; 7] =
    ["reserve", "charge", "pack", "send", "undo pack", "undo charge", "undo reserve"];

fn refused_at_the_end<S: Orchestrator>(scene: &Scene<S>, patience: Patience) -> Saga<Order> {
    scene.services.always(What::Act, "send", Reply::Refused);
    scene.services.saga("checkout", &first(4), patience)
}

pub(super) async fn written_before_the_next<S: Orchestrator>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        let patience = stage.patience();
        let scene = stage.scene::<S>();
        let saga = refused_at_the_end(&scene, patience);
        let mut gate = Gate::shut();
        scene.log.holds(Some(gate.clone()));
        let runs = scene.clone();
        let mut run = tokio::spawn(async move { runs.run(&saga, "order").await });
        for calls in 1..=CALLS.len() {
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
                    format!("entry {calls} held after `{}`, and no call", CALLS[calls - 1]);
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
            Ok(Outcome::Compensated) => Ok(()),
            other => {
                let line = scene.note("the run is over");
                Err(Evidence::new("Compensated", format!("{other:?}")).at(line).into())
            }
        }
    })
    .await
}

pub(super) async fn log_fails<S: Orchestrator>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        for nth in 1..=CALLS.len() {
            let patience = stage.patience();
            let scene = stage.scene::<S>();
            let saga = refused_at_the_end(&scene, patience);
            scene.log.fails_at(nth);
            let ended = scene.runs(&saga).await?;
            ended.did(&CALLS[..nth])?;
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
    Writing,
    Undoing,
}

pub(super) async fn left_in_the_middle<S: Orchestrator>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        let (second, hour) = (Duration::from_secs(1), Duration::from_secs(3_600));
        for left in [Left::Acting, Left::Pausing, Left::Writing, Left::Undoing] {
            let scene = stage.scene::<S>();
            let patience = Patience { attempts: 3, deadline: hour, ..stage.patience() };
            let saga = scene.services.saga("checkout", &first(3), patience);
            let (services, log) = (&scene.services, &scene.log);
            match left {
                Left::Acting => services.says(What::Act, "charge", [Reply::Hangs]),
                // Pauses are short here, so it is the second attempt that is left.
                Left::Pausing => {
                    services.says(What::Act, "charge", [Reply::NotDone, Reply::Hangs]);
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

pub(super) async fn resumed_is_unclear<S: Orchestrator>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        let plans: Vec<Plan> = STEPS.iter().map(|step| plan(step).asked()).collect();
        let second = Duration::from_secs(1);
        let abandoned = async |scene: &Scene<S>, saga: &Saga<Order>| {
            // It is charged, and whoever did so died before they knew.
            scene.services.says(What::Act, "charge", [Reply::Lands(second / 10)]);
            let id = format!("order-{}", scene.number);
            if timeout(second, scene.run(saga, &id)).await.is_ok() {
                let line = scene.note("it is over");
                return Err(Evidence::new("no end as yet", "an end").at(line).into());
            }
            scene.note("is dropped: the card is charged, and nobody knows");
            Ok::<_, Finding>(scene.log.entries(&id))
        };
        // Somebody can be asked.
        let patience = stage.patience();
        let scene = stage.scene::<S>();
        let saga = scene.services.saga("checkout", &plans, patience);
        let entries = abandoned(&scene, &saga).await?;
        let ended = scene.resumes(&saga, entries).await?;
        ended.did(&["ask charge", "pack", "send", "thank"])?;
        ended.is(Outcome::Completed)?;
        // Nobody can, and now the service refuses, or is away.
        for reply in [Reply::Refused, Reply::NotDone] {
            let patience = stage.patience();
            let scene = stage.scene::<S>();
            let saga = scene.services.saga("checkout", &first(3), patience);
            let entries = abandoned(&scene, &saga).await?;
            scene.services.always(What::Act, "charge", reply);
            let ended = scene.resumes(&saga, entries).await?;
            let undone = ["undone charge", "undone reserve"];
            ended.wrote(&[&["done reserve", "unknown charge"][..], &undone].concat())?;
            ended.is(Outcome::Compensated)?;
            scene.stand(&[("charge", 0)], "it was charged before the resumption")?;
        }
        Ok(())
    })
    .await
}

pub(super) async fn only_the_first_after_a_resumption<S: Orchestrator>(
    world: World,
) -> Result<(), Finding> {
    play(world, async |mut stage| {
        // The first step may have been begun; the others have not.
        let plans: Vec<Plan> = STEPS.iter().map(|step| plan(step).asked()).collect();
        let patience = stage.patience();
        let scene = stage.scene::<S>();
        let saga = scene.services.saga("checkout", &plans, patience);
        scene.services.always(What::Act, "send", Reply::Refused);
        let reserved = vec![Entry::Done { step: "reserve".to_owned() }];
        let ended = scene.resumes(&saga, reserved).await?;
        let there = ["ask charge", "charge", "pack", "send"];
        ended.did(&[&there[..], &["undo pack", "undo charge", "undo reserve"]].concat())?;
        ended.is(Outcome::Compensated)?;

        // One that is over stays so.
        let scene = stage.scene::<S>();
        let saga = scene.services.saga("checkout", &plans, patience);
        let all = STEPS.map(|step| Entry::Done { step: step.to_owned() });
        let refused = Entry::Refused { step: "reserve".to_owned(), reason: "none left".to_owned() };
        let parked = Entry::Parked { step: "charge".to_owned(), reason: "away".to_owned() };
        for (entries, outcome) in [
            (all.to_vec(), Outcome::Completed),
            (vec![refused], Outcome::Compensated),
            (vec![all[0].clone(), parked], Outcome::Parked),
        ] {
            let number = entries.len();
            let ended = scene.resumes(&saga, entries).await?;
            ended.did(&[""; 0])?;
            ended.is(outcome)?;
            if ended.entries.len() != number {
                let saw = format!("{} more", ended.entries.len() - number);
                return Err(ended.not("nothing more in the log", saw));
            }
        }

        // And one of another saga is left alone.
        let foreign = vec![Entry::Done { step: "ship".to_owned() }];
        let ended = scene.resumes(&saga, foreign).await?;
        ended.did(&[""; 0])?;
        match &ended.answer {
            Err(Error::UnknownStep(step)) if step.0 == "ship" => Ok(()),
            other => Err(ended.not("an error: there is no step `ship`", format!("{other:?}"))),
        }
    })
    .await
}
