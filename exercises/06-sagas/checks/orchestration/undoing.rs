//! An undoing that does not work at once, and the point behind which there is none.

use super::scene::{Plan, Reply, STEPS, What, back, dones, first, plan, play};
use grading::{Finding, World};
use sagas::orchestration::Orchestrator;
use sagas::saga::Patience;
use sagas::{Entry, Outcome};

pub(super) async fn undo_is_tried_again<S: Orchestrator>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        let replies = [Reply::NotDone, Reply::NeverCame, Reply::Lost, Reply::Hangs, Reply::Panics];
        for step in STEPS.into_iter().take(4) {
            for reply in &replies {
                let patience = Patience { attempts: 3, ..stage.patience() };
                let scene = stage.scene::<S>();
                // Somebody could be asked, and need not be: it may be undone twice.
                let plans = STEPS.map(|step| plan(step).asked());
                let saga = scene.services.saga("checkout", &plans, patience);
                scene.services.always(What::Act, STEPS[4], Reply::Refused);
                scene.services.says(What::Undo, step, [reply.clone(), reply.clone()]);
                let ended = scene.runs(&saga).await?;
                let mut calls = STEPS.map(str::to_owned).to_vec();
                calls.extend(back("undo", 4));
                let undo = format!("undo {step}");
                let place = calls.iter().position(|call| *call == undo).unwrap_or_default();
                calls.splice(place..place, [undo.clone(), undo]);
                ended.did(&calls)?;
                let numbers: Vec<u32> =
                    ended.called[place..place + 3].iter().map(|call| call.attempt).collect();
                if numbers != [1, 2, 3] {
                    let expected = "three attempts, which are told 1, 2, 3";
                    return Err(ended.not(expected, format!("{numbers:?}")));
                }
                let mut entries = dones(4);
                entries.push(format!("refused {}", STEPS[4]));
                entries.extend(back("undone", 4));
                ended.wrote(&entries)?;
                ended.is(Outcome::Compensated)?;
            }
        }
        Ok(())
    })
    .await
}

pub(super) async fn undo_is_parked<S: Orchestrator>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        for (at, step) in STEPS.into_iter().enumerate().take(3) {
            for reply in [Reply::Refused, Reply::NotDone, Reply::NeverCame] {
                let patience = stage.patience();
                let scene = stage.scene::<S>();
                let saga = scene.services.saga("checkout", &first(4), patience);
                scene.services.always(What::Act, STEPS[3], Reply::Refused);
                scene.services.always(What::Undo, step, reply.clone());
                let ended = scene.runs(&saga).await?;
                let attempts = match reply {
                    Reply::Refused => 1,
                    _ => patience.attempts,
                };
                let mut calls =
                    STEPS[..4].iter().map(|step| (*step).to_owned()).collect::<Vec<_>>();
                calls.extend(back("undo", 3)[..2 - at].iter().cloned());
                calls.extend((0..attempts).map(|_| format!("undo {step}")));
                ended.did(&calls)?;
                let mut entries = dones(3);
                entries.push(format!("refused {}", STEPS[3]));
                entries.extend(back("undone", 3)[..2 - at].iter().cloned());
                entries.push(format!("parked {step}"));
                ended.wrote(&entries)?;
                let last = format!("undo {step} of order {}, attempt {attempts}", stage.number);
                ended.because(&last)?;
                ended.is(Outcome::Parked)?;

                // Somebody has looked, and says so. What was undone is not undone again.
                scene.services.are_well();
                let mut so_far = ended.entries;
                so_far.push(Entry::Resumed);
                let ended = scene.resumes(&saga, so_far).await?;
                ended.did(&back("undo", at + 1))?;
                entries.push("resumed".to_owned());
                entries.extend(back("undone", at + 1));
                ended.wrote(&entries)?;
                ended.is(Outcome::Compensated)?;
                scene.stand(&STEPS.map(|step| (step, 0)), "the saga was taken back")?;
            }
        }
        Ok(())
    })
    .await
}

/// reserve, charge, pack and no way back, send, thank.
fn with_pivot() -> [Plan; 5] {
    STEPS.map(|step| match step {
        "pack" => plan(step).pivot(),
        _ => plan(step),
    })
}

/// The same, where the pivot could be undone.
fn with_undoable_pivot() -> [Plan; 5] {
    with_pivot().map(Plan::undoable)
}

pub(super) async fn only_forward<S: Orchestrator>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        for at in [3, 4] {
            for reply in [Reply::Refused, Reply::NotDone, Reply::NeverCame, Reply::Hangs] {
                let patience = stage.patience();
                let scene = stage.scene::<S>();
                let saga = scene.services.saga("checkout", &with_pivot(), patience);
                scene.services.always(What::Act, STEPS[at], reply.clone());
                let ended = scene.runs(&saga).await?;
                let attempts = match reply {
                    Reply::Refused => 1,
                    _ => patience.attempts as usize,
                };
                let mut calls = STEPS[..at].to_vec();
                calls.extend((0..attempts).map(|_| STEPS[at]));
                ended.did(&calls)?;
                let mut entries = dones(at);
                entries.push(format!("parked {}", STEPS[at]));
                ended.wrote(&entries)?;
                match reply {
                    Reply::Hangs => {}
                    _ => {
                        let number = stage.number;
                        let last = format!("{} of order {number}, attempt {attempts}", STEPS[at]);
                        ended.because(&last)?;
                    }
                }
                ended.is(Outcome::Parked)?;

                // Somebody looks too early. The pivot is behind it all the same.
                let mut so_far = ended.entries;
                so_far.push(Entry::Resumed);
                let ended = scene.resumes(&saga, so_far).await?;
                ended.did(&vec![STEPS[at]; attempts])?;
                entries.extend(["resumed".to_owned(), format!("parked {}", STEPS[at])]);
                ended.wrote(&entries)?;
                ended.is(Outcome::Parked)?;

                scene.services.are_well();
                let mut so_far = ended.entries;
                so_far.push(Entry::Resumed);
                let ended = scene.resumes(&saga, so_far).await?;
                ended.did(&STEPS[at..])?;
                ended.is(Outcome::Completed)?;
            }
        }
        Ok(())
    })
    .await
}

pub(super) async fn pivot_can_be_refused<S: Orchestrator>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        for reply in [Reply::Refused, Reply::NotDone] {
            let patience = stage.patience();
            let scene = stage.scene::<S>();
            let saga = scene.services.saga("checkout", &with_pivot(), patience);
            scene.services.always(What::Act, "pack", reply);
            let ended = scene.runs(&saga).await?;
            let undone = ["undone charge", "undone reserve"];
            ended
                .wrote(&[&["done reserve", "done charge", "refused pack"][..], &undone].concat())?;
            ended.is(Outcome::Compensated)?;
            scene.stand(&[("reserve", 0), ("charge", 0)], "the pivot was not done")?;
        }
        Ok(())
    })
    .await
}

pub(super) async fn unclear_pivot<S: Orchestrator>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        let parked = ["done reserve", "done charge", "parked pack"];
        let why = "nobody knows whether to go back";
        // A "no" of who is asked says nothing of what is on its way. Nor does it help that it can be
        // undone: behind it there would be only forward.
        for plans in [with_pivot(), with_pivot().map(Plan::asked), with_undoable_pivot()] {
            for (early, then) in [
                (Reply::NeverCame, Reply::NeverCame),
                (Reply::NeverCame, Reply::Refused),
                (Reply::Hangs, Reply::NotDone),
            ] {
                let patience = stage.patience();
                let scene = stage.scene::<S>();
                let saga = scene.services.saga("checkout", &plans, patience);
                scene.services.always(What::Act, "pack", then);
                scene.services.says(What::Act, "pack", [early]);
                let ended = scene.runs(&saga).await?;
                ended.wrote(&parked)?;
                ended.because(&format!("pack of order {}", stage.number))?;
                ended.is(Outcome::Parked)?;
                scene.stand(&[("reserve", 1), ("charge", 1)], why)?;

                // Somebody has looked, and saw no more than that. It may still be on its way.
                scene.note("a person has looked, and it is to go on");
                let mut so_far = ended.entries;
                so_far.push(Entry::Resumed);
                let ended = scene.resumes(&saga, so_far).await?;
                ended.wrote(&[&parked[..], &["resumed", "parked pack"]].concat())?;
                ended.is(Outcome::Parked)?;
                scene.stand(&[("reserve", 1), ("charge", 1)], why)?;
            }
            // One that somebody else may have begun is as unclear.
            let patience = stage.patience();
            let scene = stage.scene::<S>();
            let saga = scene.services.saga("checkout", &plans, patience);
            scene.services.always(What::Act, "pack", Reply::Refused);
            let so_far = ["reserve", "charge"].map(|step| Entry::Done { step: step.to_owned() });
            let ended = scene.resumes(&saga, so_far.to_vec()).await?;
            ended.wrote(&parked)?;
            ended.is(Outcome::Parked)?;
        }
        // It was done, and nobody can say so.
        let patience = stage.patience();
        let scene = stage.scene::<S>();
        let saga = scene.services.saga("checkout", &with_pivot(), patience);
        scene.services.always(What::Act, "pack", Reply::Lost);
        let ended = scene.runs(&saga).await?;
        ended.wrote(&parked)?;
        ended.is(Outcome::Parked)?;
        // Where somebody says that it was, there is nothing unclear.
        let plans = with_pivot().map(Plan::asked);
        let patience = stage.patience();
        let scene = stage.scene::<S>();
        let saga = scene.services.saga("checkout", &plans, patience);
        scene.services.says(What::Act, "pack", [Reply::Lost]);
        let ended = scene.runs(&saga).await?;
        ended.did(&["reserve", "charge", "pack", "ask pack", "send", "thank"])?;
        ended.is(Outcome::Completed)
    })
    .await
}

pub(super) async fn final_refusal<S: Orchestrator>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        let plans = with_pivot().map(Plan::final_refusal);
        for early in [Reply::NeverCame, Reply::Hangs] {
            let patience = stage.patience();
            let scene = stage.scene::<S>();
            let saga = scene.services.saga("checkout", &plans, patience);
            scene.services.always(What::Act, "pack", Reply::Refused);
            scene.services.says(What::Act, "pack", [early]);
            let ended = scene.runs(&saga).await?;
            let undone = ["undone charge", "undone reserve"];
            ended
                .wrote(&[&["done reserve", "done charge", "refused pack"][..], &undone].concat())?;
            ended.is(Outcome::Compensated)?;
            scene.stand(&[("reserve", 0), ("charge", 0)], "the pivot was refused for good")?;
        }
        // That nobody has refused it is no refusal.
        let patience = stage.patience();
        let scene = stage.scene::<S>();
        let saga = scene.services.saga("checkout", &plans, patience);
        scene.services.always(What::Act, "pack", Reply::NotDone);
        scene.services.says(What::Act, "pack", [Reply::NeverCame]);
        let ended = scene.runs(&saga).await?;
        ended.wrote(&["done reserve", "done charge", "parked pack"])?;
        ended.is(Outcome::Parked)?;

        // Behind the pivot it changes nothing, whatever was before.
        for early in [Reply::Refused, Reply::NeverCame] {
            let patience = stage.patience();
            let scene = stage.scene::<S>();
            let saga = scene.services.saga("checkout", &plans, patience);
            scene.services.always(What::Act, "send", Reply::Refused);
            scene.services.says(What::Act, "send", [early]);
            let ended = scene.runs(&saga).await?;
            ended.wrote(&["done reserve", "done charge", "done pack", "parked send"])?;
            ended.is(Outcome::Parked)?;
        }
        Ok(())
    })
    .await
}

pub(super) async fn final_refusal_of_any<S: Orchestrator>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        let plans = with_pivot().map(Plan::final_refusal);
        // Of a step before the pivot: there is nothing to undo of it.
        for (then, it_is) in [(Reply::Refused, "refused"), (Reply::NotDone, "unknown")] {
            let patience = stage.patience();
            let scene = stage.scene::<S>();
            let saga = scene.services.saga("checkout", &plans, patience);
            scene.services.always(What::Act, "charge", then);
            scene.services.says(What::Act, "charge", [Reply::NeverCame]);
            let ended = scene.runs(&saga).await?;
            let mut entries = vec!["done reserve".to_owned(), format!("{it_is} charge")];
            if it_is == "unknown" {
                entries.push("undone charge".to_owned());
            }
            entries.push("undone reserve".to_owned());
            ended.wrote(&entries)?;
            ended.is(Outcome::Compensated)?;
        }
        // And of the step with which it goes on, which somebody may have begun.
        for at in [1, 2] {
            let patience = stage.patience();
            let scene = stage.scene::<S>();
            let saga = scene.services.saga("checkout", &plans, patience);
            scene.services.always(What::Act, STEPS[at], Reply::Refused);
            let so_far = STEPS[..at].iter().map(|step| Entry::Done { step: (*step).to_owned() });
            let ended = scene.resumes(&saga, so_far.collect()).await?;
            let mut entries = dones(at);
            entries.push(format!("refused {}", STEPS[at]));
            entries.extend(back("undone", at));
            ended.wrote(&entries)?;
            ended.is(Outcome::Compensated)?;
        }
        Ok(())
    })
    .await
}
