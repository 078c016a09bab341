//! Forward, and where a step comes to nothing, back.

use super::scene::{Ended, Plan, Reply, STEPS, What, back, dones, first, plan, play};
use grading::{Finding, World};
use sagas::Outcome;
use sagas::orchestration::Orchestrator;
use sagas::saga::Patience;

pub(super) async fn all_done<S: Orchestrator>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        for steps in 0..=STEPS.len() {
            let patience = stage.patience();
            let scene = stage.scene::<S>();
            let saga = scene.services.saga("checkout", &first(steps), patience);
            let ended = scene.runs(&saga).await?;
            ended.did(&STEPS[..steps])?;
            ended.wrote(&dones(steps))?;
            ended.is(Outcome::Completed)?;
        }
        Ok(())
    })
    .await
}

pub(super) async fn each_step_refused<S: Orchestrator>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        for steps in 1..=STEPS.len() {
            for (at, step) in STEPS.into_iter().enumerate().take(steps) {
                let patience = stage.patience();
                let scene = stage.scene::<S>();
                let saga = scene.services.saga("checkout", &first(steps), patience);
                scene.services.always(What::Act, step, Reply::Refused);
                let ended = scene.runs(&saga).await?;
                went_back(&ended, at, 1)?;
                ended.because(&format!("{step} of order {}", stage.number))?;
                if !ended.took.is_zero() {
                    let saw = format!("{:?} later", ended.took);
                    return Err(ended.not("an end at once: nobody said to come again", saw));
                }
                scene.stand(&STEPS.map(|step| (step, 0)), "the saga was taken back")?;
            }
        }
        Ok(())
    })
    .await
}

/// Whether the step `at` was attempted so often and refused, and all before it was undone.
fn went_back(ended: &Ended, at: usize, attempts: u32) -> Result<(), Finding> {
    let mut calls: Vec<String> = STEPS[..at].iter().map(|step| (*step).to_owned()).collect();
    calls.extend((0..attempts).map(|_| STEPS[at].to_owned()));
    calls.extend(back("undo", at));
    ended.did(&calls)?;
    let mut entries = dones(at);
    entries.push(format!("refused {}", STEPS[at]));
    entries.extend(back("undone", at));
    ended.wrote(&entries)?;
    ended.is(Outcome::Compensated)
}

pub(super) async fn each_step_not_done<S: Orchestrator>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        for steps in 1..=STEPS.len() {
            for (at, step) in STEPS.into_iter().enumerate().take(steps) {
                let patience = Patience { attempts: at as u32 % 4 + 1, ..stage.patience() };
                let scene = stage.scene::<S>();
                let saga = scene.services.saga("checkout", &first(steps), patience);
                scene.services.always(What::Act, step, Reply::NotDone);
                let ended = scene.runs(&saga).await?;
                went_back(&ended, at, patience.attempts)?;
                let last = patience.attempts;
                ended.because(&format!("{step} of order {}, attempt {last}", stage.number))?;
            }
        }
        // Who is refused at the second attempt makes no third.
        let patience = Patience { attempts: 4, ..stage.patience() };
        let scene = stage.scene::<S>();
        let saga = scene.services.saga("checkout", &first(3), patience);
        scene.services.says(What::Act, STEPS[2], [Reply::NotDone, Reply::Refused]);
        went_back(&scene.runs(&saga).await?, 2, 2)
    })
    .await
}

pub(super) async fn not_done_is_tried_again<S: Orchestrator>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        for at in 0..STEPS.len() {
            let patience = Patience { attempts: 4, ..stage.patience() };
            let scene = stage.scene::<S>();
            let saga = scene.services.saga("checkout", &first(STEPS.len()), patience);
            scene.services.says(
                What::Act,
                STEPS[at],
                [Reply::NotDone, Reply::NotDone, Reply::NotDone],
            );
            let ended = scene.runs(&saga).await?;
            let mut calls = STEPS[..at].to_vec();
            calls.extend([STEPS[at]; 4]);
            calls.extend(&STEPS[at + 1..]);
            ended.did(&calls)?;
            ended.wrote(&dones(STEPS.len()))?;
            ended.is(Outcome::Completed)?;
            let numbers: Vec<u32> =
                ended.called[at..at + 4].iter().map(|call| call.attempt).collect();
            if numbers != [1, 2, 3, 4] {
                let expected = "four attempts, which are told 1, 2, 3, 4";
                return Err(ended.not(expected, format!("{numbers:?}")));
            }
        }
        Ok(())
    })
    .await
}

pub(super) async fn nothing_to_undo<S: Orchestrator>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        // Which of the four can be undone: all sixteen ways.
        for undoable in 0..16_u32 {
            let can_be = |at: usize| undoable & (1 << at) != 0;
            let whether = |at: usize| match can_be(at) {
                true => plan(STEPS[at]),
                false => plan(STEPS[at]).for_good(),
            };
            let plans: Vec<Plan> = (0..STEPS.len()).map(|at| whether(at.min(4))).collect();
            let patience = stage.patience();
            let scene = stage.scene::<S>();
            let saga = scene.services.saga("checkout", &plans, patience);
            scene.services.always(What::Act, STEPS[4], Reply::Refused);
            let ended = scene.runs(&saga).await?;
            let undone = || (0..4).rev().filter(|at| can_be(*at)).map(|at| STEPS[at]);
            let mut calls: Vec<String> = STEPS.iter().map(|step| (*step).to_owned()).collect();
            calls.extend(undone().map(|step| format!("undo {step}")));
            ended.did(&calls)?;
            let mut entries = dones(4);
            entries.push(format!("refused {}", STEPS[4]));
            entries.extend(undone().map(|step| format!("undone {step}")));
            ended.wrote(&entries)?;
            ended.is(Outcome::Compensated)?;
        }
        Ok(())
    })
    .await
}
