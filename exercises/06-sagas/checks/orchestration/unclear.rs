//! What may have been done, or not.

use super::scene::{
    Called, FOREVER, Plan, Reply, STEPS, Scene, Stage, What, back, dones, first, plan, play,
};
use grading::{Finding, World};
use sagas::orchestration::Orchestrator;
use sagas::saga::Patience;
use sagas::{Entry, Outcome};
use std::time::Duration;

/// All five steps, and one that can be asked about each.
fn all_asked() -> Vec<Plan> {
    STEPS.iter().map(|step| plan(step).asked()).collect()
}

/// `calls` at the place of one step, and the others once each.
fn with(at: usize, calls: &[&str]) -> Vec<String> {
    let mut all: Vec<String> = STEPS[..at].iter().map(|step| (*step).to_owned()).collect();
    all.extend(calls.iter().map(|call| (*call).to_owned()));
    all.extend(STEPS[at + 1..].iter().map(|step| (*step).to_owned()));
    all
}

pub(super) async fn lost_answer_is_asked<S: Orchestrator>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        let soon = Duration::from_millis(1);
        for reply in [Reply::Lost, Reply::Lands(soon), Reply::Panics] {
            for (at, step) in STEPS.into_iter().enumerate() {
                let patience = stage.patience();
                let scene = stage.scene::<S>();
                let saga = scene.services.saga("checkout", &all_asked(), patience);
                scene.services.says(What::Act, step, [reply.clone()]);
                let ended = scene.runs(&saga).await?;
                ended.did(&with(at, &[step, &format!("ask {step}")]))?;
                ended.wrote(&dones(STEPS.len()))?;
                ended.is(Outcome::Completed)?;
                scene.stand(&[(step, 1)], "it was done at the first attempt")?;
            }
        }
        Ok(())
    })
    .await
}

pub(super) async fn inquiry_is_asked_again<S: Orchestrator>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        let silent = [Reply::NotDone, Reply::Lost, Reply::Hangs];
        let patience = Patience { attempts: 4, ..stage.patience() };
        let scene = stage.scene::<S>();
        let saga = scene.services.saga("checkout", &all_asked(), patience);
        scene.services.says(What::Act, "charge", [Reply::Lost]);
        scene.services.says(What::Ask, "charge", silent.clone());
        let ended = scene.runs(&saga).await?;
        let mut calls = vec!["charge"];
        calls.extend(["ask charge"; 4]);
        ended.did(&with(1, &calls))?;
        ended.is(Outcome::Completed)?;
        // Where nobody answers, it is tried again.
        let scene = stage.scene::<S>();
        let saga = scene.services.saga("checkout", &all_asked(), patience);
        scene.services.says(What::Act, "charge", [Reply::Lost]);
        scene.services.always(What::Ask, "charge", Reply::NotDone);
        let ended = scene.runs(&saga).await?;
        calls.push("charge");
        ended.did(&with(1, &calls))?;
        ended.wrote(&dones(STEPS.len()))?;
        ended.is(Outcome::Completed)?;
        scene.stand(&[("charge", 1)], "it has one key")?;
        // Nor is it a "yes" or a "no" that the inquiry is refused.
        let scene = stage.scene::<S>();
        let saga = scene.services.saga("checkout", &all_asked(), patience);
        scene.services.says(What::Act, "charge", [Reply::NeverCame]);
        scene.services.always(What::Ask, "charge", Reply::Refused);
        let ended = scene.runs(&saga).await?;
        ended.wrote(&dones(STEPS.len()))?;
        ended.is(Outcome::Completed)?;
        scene.stand(&[("charge", 1)], "it was tried again")
    })
    .await
}

pub(super) async fn asked_no_is_tried_again<S: Orchestrator>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        for reply in [Reply::NeverCame, Reply::Hangs, Reply::PanicsAtOnce] {
            for (at, step) in STEPS.into_iter().enumerate() {
                let patience = stage.patience();
                let scene = stage.scene::<S>();
                let saga = scene.services.saga("checkout", &all_asked(), patience);
                scene.services.says(What::Act, step, [reply.clone()]);
                let ended = scene.runs(&saga).await?;
                ended.did(&with(at, &[step, &format!("ask {step}"), step]))?;
                ended.wrote(&dones(STEPS.len()))?;
                ended.is(Outcome::Completed)?;
                scene.stand(&[(step, 1)], "it was done at the second attempt")?;
            }
        }
        Ok(())
    })
    .await
}

pub(super) async fn each_no_counts<S: Orchestrator>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        // Never done, and somebody who says so each time.
        for attempts in 1..=4 {
            let patience = Patience { attempts, ..stage.patience() };
            let scene = stage.scene::<S>();
            let saga = scene.services.saga("checkout", &all_asked(), patience);
            scene.services.always(What::Act, "charge", Reply::NeverCame);
            let ended = scene.runs(&saga).await?;
            let mut calls = vec!["reserve"];
            calls.extend((0..attempts).flat_map(|_| ["charge", "ask charge"]));
            calls.extend(["undo charge", "undo reserve"]);
            ended.did(&calls)?;
            ended.wrote(&["done reserve", "unknown charge", "undone charge", "undone reserve"])?;
            ended.is(Outcome::Compensated)?;
        }
        // Not done at first, and then done, but the answer is lost.
        let patience = stage.patience();
        let scene = stage.scene::<S>();
        let saga = scene.services.saga("checkout", &all_asked(), patience);
        scene.services.always(What::Act, "charge", Reply::Lost);
        scene.services.says(What::Act, "charge", [Reply::NeverCame]);
        let ended = scene.runs(&saga).await?;
        ended.did(&with(1, &["charge", "ask charge", "charge", "ask charge"]))?;
        ended.wrote(&dones(STEPS.len()))?;
        ended.is(Outcome::Completed)
    })
    .await
}

pub(super) async fn unknown_is_undone<S: Orchestrator>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        for asked in [false, true] {
            for reply in [Reply::NeverCame, Reply::Lost, Reply::Hangs, Reply::Panics] {
                for at in 0..STEPS.len() {
                    let patience = stage.patience();
                    let scene = stage.scene::<S>();
                    let plans = if asked { all_asked() } else { first(STEPS.len()) };
                    let saga = scene.services.saga("checkout", &plans, patience);
                    scene.services.always(What::Act, STEPS[at], reply.clone());
                    // Of what is done they would hear; so here nobody answers.
                    scene.services.always(What::Ask, STEPS[at], Reply::NotDone);
                    let ended = scene.runs(&saga).await?;
                    let mut calls = Vec::new();
                    for _ in 0..patience.attempts {
                        calls.push(STEPS[at].to_owned());
                        let asks = if asked { patience.attempts } else { 0 };
                        calls.extend((0..asks).map(|_| format!("ask {}", STEPS[at])));
                    }
                    calls.splice(0..0, STEPS[..at].iter().map(|step| (*step).to_owned()));
                    calls.extend(back("undo", at + 1));
                    ended.did(&calls)?;
                    let mut entries = dones(at);
                    entries.push(format!("unknown {}", STEPS[at]));
                    entries.extend(back("undone", at + 1));
                    ended.wrote(&entries)?;
                    ended.is(Outcome::Compensated)?;
                    scene.stand(&[(STEPS[at], 0)], "it may have been done, so it was undone")?;
                }
            }
        }
        Ok(())
    })
    .await
}

pub(super) async fn unknown_for_good<S: Orchestrator>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        for reply in [Reply::NeverCame, Reply::Lost, Reply::Hangs] {
            for at in 0..STEPS.len() {
                let patience = stage.patience();
                let scene = stage.scene::<S>();
                let mut plans = first(STEPS.len());
                plans[at] = plan(STEPS[at]).for_good();
                let saga = scene.services.saga("checkout", &plans, patience);
                scene.services.always(What::Act, STEPS[at], reply.clone());
                let ended = scene.runs(&saga).await?;
                let mut entries = dones(at);
                entries.push(format!("unknown {}", STEPS[at]));
                entries.extend(back("undone", at));
                ended.wrote(&entries)?;
                ended.is(Outcome::Compensated)?;
                let before: Vec<_> = STEPS[..at].iter().map(|step| (*step, 0)).collect();
                scene.stand(&before, "the saga was taken back")?;
            }
        }
        Ok(())
    })
    .await
}

pub(super) async fn unclear_stays_unclear<S: Orchestrator>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        let late = Reply::Lands(Duration::from_secs(600));
        for plans in [first(4), all_asked()] {
            for then in [Reply::Refused, Reply::NotDone] {
                // At the first attempt, or at a later one.
                for before in 0..2 {
                    let patience = Patience { attempts: 4, ..stage.patience() };
                    let scene = stage.scene::<S>();
                    let saga = scene.services.saga("checkout", &plans, patience);
                    scene.services.always(What::Act, "charge", then.clone());
                    let mut replies = vec![Reply::NotDone; before];
                    replies.push(late.clone());
                    scene.services.says(What::Act, "charge", replies);
                    let ended = scene.runs(&saga).await?;
                    tokio::time::sleep(FOREVER).await;
                    let why = "what lands when the saga has gone back finds itself undone";
                    scene.stand(&[("reserve", 0), ("charge", 0)], why)?;
                    ended.wrote(&[
                        "done reserve",
                        "unknown charge",
                        "undone charge",
                        "undone reserve",
                    ])?;
                    // Who is refused is not tried again, whatever was before.
                    let attempts = match then {
                        Reply::Refused => before + 2,
                        _ => 4,
                    };
                    let charge = |call: &&Called| call.what == What::Act && call.step == "charge";
                    let made = ended.called.iter().filter(charge).count();
                    if made != attempts {
                        let saw = made.to_string();
                        return Err(ended.not(format!("{attempts} attempts to charge"), saw));
                    }
                    let number = stage.number;
                    ended.because(&format!("charge of order {number}, attempt {attempts}"))?;
                    ended.is(Outcome::Compensated)?;
                }
            }
        }
        Ok(())
    })
    .await
}

pub(super) async fn late_attempt<S: Orchestrator>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        for plans in [first(5), all_asked()] {
            let patience = stage.patience();
            let scene = stage.scene::<S>();
            let saga = scene.services.saga("checkout", &plans, patience);
            scene.services.says(What::Act, "charge", [Reply::Lands(Duration::from_secs(600))]);
            let ended = scene.runs(&saga).await?;
            tokio::time::sleep(FOREVER).await;
            scene.stand(&[("charge", 1)], "both attempts have one key")?;
            ended.wrote(&dones(STEPS.len()))?;
            ended.is(Outcome::Completed)?;
        }
        Ok(())
    })
    .await
}

pub(super) async fn silence_ends<S: Orchestrator>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        // Each attempt has the whole deadline: one that needs nearly all of it is waited for.
        for what in [What::Act, What::Ask, What::Undo] {
            let patience = stage.patience();
            let scene = stage.scene::<S>();
            let plans: Vec<Plan> = all_asked().drain(..3).collect();
            let saga = scene.services.saga("checkout", &plans, patience);
            let slow = Reply::Slow(patience.deadline - Duration::from_millis(20));
            scene.services.says(what, "charge", [Reply::Hangs, slow]);
            if what == What::Ask {
                scene.services.says(What::Act, "charge", [Reply::Lost]);
            }
            if what == What::Undo {
                scene.services.always(What::Act, "pack", Reply::Refused);
            }
            let ended = scene.runs(&saga).await?;
            match what {
                What::Act => {
                    ended.did(&["reserve", "charge", "ask charge", "charge", "pack"])?;
                    ended.is(Outcome::Completed)?;
                }
                What::Ask => {
                    ended.did(&["reserve", "charge", "ask charge", "ask charge", "pack"])?;
                    ended.is(Outcome::Completed)?;
                }
                What::Undo => {
                    let undone = ["undo charge", "undo charge", "undo reserve"];
                    ended.did(&[&["reserve", "charge", "pack"][..], &undone].concat())?;
                    ended.is(Outcome::Compensated)?;
                }
            }
            given_up(&scene, 1, &ended)?;
        }
        every_attempt_is_given_up::<S>(&mut stage).await
    })
    .await
}

async fn every_attempt_is_given_up<S: Orchestrator>(stage: &mut Stage) -> Result<(), Finding> {
    let patience = stage.patience();
    let scene = stage.scene::<S>();
    let saga = scene.services.saga("checkout", &first(2), patience);
    scene.services.always(What::Act, "charge", Reply::Hangs);
    let mut ended = scene.runs(&saga).await?;
    ended.wrote(&["done reserve", "unknown charge", "undone charge", "undone reserve"])?;
    given_up(&scene, patience.attempts as usize, &ended)?;
    ended.called.retain(|call| call.step == "charge");
    for (nth, apart) in ended.between().into_iter().enumerate() {
        // The undoing comes at once.
        let pause =
            if nth as u32 + 1 < patience.attempts { patience.longest } else { Duration::ZERO };
        let most = patience.deadline + pause + Duration::from_millis(2);
        if apart < patience.deadline || apart > most {
            let expected = format!("attempt {} given up after {:?}", nth + 1, patience.deadline);
            return Err(ended.not(expected, format!("the next call {apart:?} later")));
        }
    }
    Ok(())
}

fn given_up<S: Orchestrator>(
    scene: &Scene<S>,
    times: usize,
    ended: &super::scene::Ended,
) -> Result<(), Finding> {
    match scene.services.left_alone() {
        left if left == times => Ok(()),
        left => {
            let expected = format!("the attempt that has no answer dropped: {times} of them");
            Err(ended.not(expected, format!("{left} dropped")))
        }
    }
}

pub(super) async fn panics_are_unclear<S: Orchestrator>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        for reply in [Reply::Panics, Reply::PanicsAtOnce] {
            let patience = stage.patience();
            let plans = first(3);
            // In an action, once, and each time.
            let scene = stage.scene::<S>();
            let saga = scene.services.saga("checkout", &plans, patience);
            scene.services.says(What::Act, "charge", [reply.clone()]);
            let ended = scene.runs(&saga).await?;
            ended.did(&["reserve", "charge", "charge", "pack"])?;
            ended.is(Outcome::Completed)?;
            let scene = stage.scene::<S>();
            let saga = scene.services.saga("checkout", &plans, patience);
            scene.services.always(What::Act, "charge", reply.clone());
            let ended = scene.runs(&saga).await?;
            ended.wrote(&["done reserve", "unknown charge", "undone charge", "undone reserve"])?;
            // In a compensation, once, and each time.
            for always in [false, true] {
                let scene = stage.scene::<S>();
                let saga = scene.services.saga("checkout", &plans, patience);
                scene.services.always(What::Act, "pack", Reply::Refused);
                match always {
                    true => scene.services.always(What::Undo, "charge", reply.clone()),
                    false => scene.services.says(What::Undo, "charge", [reply.clone()]),
                }
                let ended = scene.runs(&saga).await?;
                ended.is(if always { Outcome::Parked } else { Outcome::Compensated })?;
                match ended.entries.get(3) {
                    Some(Entry::Undone { .. }) if !always => {}
                    Some(Entry::Parked { .. }) if always => {}
                    other => {
                        let saw = format!("{other:?}");
                        return Err(ended.not("charge undone, or parked after all attempts", saw));
                    }
                }
            }
            // In an inquiry.
            let scene = stage.scene::<S>();
            let saga = scene.services.saga("checkout", &all_asked()[..3], patience);
            scene.services.says(What::Act, "charge", [Reply::Lost]);
            scene.services.says(What::Ask, "charge", [reply.clone()]);
            let ended = scene.runs(&saga).await?;
            ended.did(&["reserve", "charge", "ask charge", "ask charge", "pack"])?;
            ended.is(Outcome::Completed)?;
        }
        Ok(())
    })
    .await
}
