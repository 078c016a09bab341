//! Somebody goes on, from the entries.

use super::scene::{
    FOREVER, Order, Plan, Reply, STEPS, Scene, What, back, dones, first, plan, play,
};
use grading::{Evidence, Finding, World};
use sagas::orchestration::{Error, Orchestrator};
use sagas::saga::Patience;
use sagas::{Entry, Outcome, Saga};
use std::time::Duration;
use tokio::time::{sleep, timeout};

const SECOND: Duration = Duration::from_secs(1);

fn all_asked() -> Vec<Plan> {
    STEPS.iter().map(|step| plan(step).asked()).collect()
}

/// Runs it for so long, and then it is dropped.
async fn dropped<S: Orchestrator>(
    scene: &Scene<S>,
    saga: &Saga<Order>,
    after: Duration,
    why: &str,
) -> Result<Vec<Entry>, Finding> {
    let id = format!("order-{}", scene.number);
    if timeout(after, scene.run(saga, &id)).await.is_ok() {
        let line = scene.note("it is over");
        return Err(Evidence::new("no end as yet", "an end").at(line).into());
    }
    scene.note(format!("is dropped: {why}"));
    Ok(scene.log.entries(&id))
}

/// It is done, and whoever did so died before they knew.
async fn abandoned<S: Orchestrator>(
    scene: &Scene<S>,
    saga: &Saga<Order>,
    step: &'static str,
) -> Result<Vec<Entry>, Finding> {
    scene.services.says(What::Act, step, [Reply::Lands(SECOND / 10)]);
    dropped(scene, saga, SECOND, "it is done, and nobody knows").await
}

pub(super) async fn resumed_is_unclear<S: Orchestrator>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        // Also of the first step: then the log holds nothing.
        for (at, step) in STEPS.into_iter().enumerate().take(2) {
            // Somebody can be asked, and what they say is written down.
            let patience = stage.patience();
            let scene = stage.scene::<S>();
            let saga = scene.services.saga("checkout", &all_asked(), patience);
            let entries = abandoned(&scene, &saga, step).await?;
            let ended = scene.resumes(&saga, entries).await?;
            let mut calls = vec![format!("ask {step}")];
            calls.extend(STEPS[at + 1..].iter().map(|step| (*step).to_owned()));
            ended.did(&calls)?;
            ended.wrote(&dones(STEPS.len()))?;
            ended.is(Outcome::Completed)?;
            // Nobody can, and now the service refuses, or is away.
            for reply in [Reply::Refused, Reply::NotDone] {
                let patience = stage.patience();
                let scene = stage.scene::<S>();
                let saga = scene.services.saga("checkout", &first(3), patience);
                let entries = abandoned(&scene, &saga, step).await?;
                scene.services.always(What::Act, step, reply);
                let ended = scene.resumes(&saga, entries).await?;
                ended.wrote(&[dones(at), gone_back(step, at)].concat())?;
                ended.is(Outcome::Compensated)?;
                scene.stand(&[(step, 0)], "it was done before the resumption")?;
            }
        }
        Ok(())
    })
    .await
}

/// What is written of the step `at` that may have been done, and from there.
fn gone_back(step: &str, at: usize) -> Vec<String> {
    let mut entries = vec![format!("unknown {step}")];
    entries.extend(back("undone", at + 1));
    entries
}

pub(super) async fn resumed_and_asked<S: Orchestrator>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        // It was charged. Who is asked does not answer at once, or not at all, or does not say.
        for always in [None, Some(Reply::NotDone), Some(Reply::Refused)] {
            let patience = Patience { attempts: 4, ..stage.patience() };
            let scene = stage.scene::<S>();
            let saga = scene.services.saga("checkout", &all_asked(), patience);
            let entries = abandoned(&scene, &saga, "charge").await?;
            match &always {
                Some(reply) => scene.services.always(What::Ask, "charge", reply.clone()),
                None => {
                    let silent = [Reply::NotDone, Reply::Lost, Reply::Hangs];
                    scene.services.says(What::Ask, "charge", silent);
                }
            }
            let mut ended = scene.resumes(&saga, entries).await?;
            ended.wrote(&dones(STEPS.len()))?;
            ended.is(Outcome::Completed)?;
            let mut calls = vec!["ask charge"; 4];
            if let Some(Reply::Refused) = always {
                // Once or more often.
                ended.called.retain(|call| call.what != What::Ask);
                calls.clear();
            }
            if always.is_some() {
                calls.push("charge");
            }
            calls.extend(["pack", "send", "thank"]);
            ended.did(&calls)?;
        }
        // It is on its way. Who is asked says "no", and so, then, does the service.
        for reply in [Reply::Refused, Reply::NotDone] {
            let patience = stage.patience();
            let scene = stage.scene::<S>();
            let saga = scene.services.saga("checkout", &all_asked(), patience);
            scene.services.says(What::Act, "charge", [Reply::Lands(SECOND * 600)]);
            let entries = dropped(&scene, &saga, SECOND, "the charge is on its way").await?;
            scene.services.always(What::Act, "charge", reply);
            let ended = scene.resumes(&saga, entries).await?;
            sleep(FOREVER).await;
            let why = "what lands when the saga has gone back finds itself undone";
            scene.stand(&[("reserve", 0), ("charge", 0)], why)?;
            ended.wrote(&[dones(1), gone_back("charge", 1)].concat())?;
            ended.is(Outcome::Compensated)?;
        }
        Ok(())
    })
    .await
}

pub(super) async fn resumed_undoing<S: Orchestrator>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        // The charge is on its way when the saga goes back. Who undoes it dies over that.
        let patience = Patience { deadline: SECOND * 5, ..stage.patience() };
        let scene = stage.scene::<S>();
        let saga = scene.services.saga("checkout", &all_asked(), patience);
        scene.services.always(What::Act, "charge", Reply::Refused);
        scene.services.says(What::Act, "charge", [Reply::Lands(SECOND * 600)]);
        scene.services.says(What::Undo, "charge", [Reply::Hangs]);
        let entries = dropped(&scene, &saga, SECOND * 8, "the undoing has no answer").await?;
        let ended = scene.resumes(&saga, entries).await?;
        sleep(FOREVER).await;
        let why = "what lands when the saga has gone back finds itself undone";
        scene.stand(&[("reserve", 0), ("charge", 0)], why)?;
        ended.did(&["undo charge", "undo reserve"])?;
        ended.wrote(&[dones(1), gone_back("charge", 1)].concat())?;
        ended.is(Outcome::Compensated)
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
