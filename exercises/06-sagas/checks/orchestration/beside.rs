//! Keys, contexts, and sagas beside one another.

use super::scene::{FOREVER, Plan, Reply, STEPS, Scene, Stage, What, back, first, plan, play};
use grading::{Evidence, Finding, World};
use rand::RngExt;
use sagas::Outcome;
use sagas::orchestration::Orchestrator;
use sagas::saga::Patience;
use std::collections::{HashMap, HashSet};
use std::time::Duration;
use testbed::gate::Gate;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

pub(super) async fn same_key<S: Orchestrator>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        let plans = ["pack", "pack1", "pack-1", "charge"].map(|step| plan(step).asked());
        // Keys of all steps of all sagas.
        let mut owners: HashMap<String, String> = HashMap::new();
        let number = stage.number.to_string();
        let ids =
            [number.clone(), format!("1{number}"), format!("1-{number}"), format!("{number}1")];
        for (name, id) in
            ["checkout", "refund"].into_iter().flat_map(|name| ids.iter().map(move |id| (name, id)))
        {
            let patience = Patience { attempts: 4, ..stage.patience() };
            let mut of_step: HashMap<&str, String> = HashMap::new();
            // Another process does it again, from the beginning: the keys are the old ones.
            for resumed in [false, true] {
                let scene = stage.scene::<S>();
                let saga = scene.services.saga(name, &plans, patience);
                for step in ["pack", "pack1", "pack-1"] {
                    let replies = [Reply::NotDone, Reply::NeverCame, Reply::NotDone];
                    scene.services.says(What::Act, step, replies);
                    scene.services.says(What::Undo, step, [Reply::Lost]);
                }
                scene.services.always(What::Act, "charge", Reply::Refused);
                let answer = match resumed {
                    false => timeout(FOREVER, scene.run(&saga, id)).await,
                    true => timeout(FOREVER, scene.resume(&saga, id, Vec::new())).await,
                };
                if answer.is_err() {
                    let line = scene.note("nothing more happens");
                    return Err(Evidence::new("an end", "none in a day").at(line).into());
                }
                for call in scene.services.called() {
                    let told = |text: String| scene.note(format!("{call} of {name} {id}: {text}"));
                    if call.id != *id {
                        let line = told(format!("is told id {}", call.id));
                        return Err(Evidence::new(id, call.id.clone()).at(line).into());
                    }
                    if call.order != scene.number {
                        let line = told("is told another order".to_owned());
                        let (expected, saw) = (scene.number.to_string(), call.order.to_string());
                        return Err(Evidence::new(expected, saw).at(line).into());
                    }
                    let key = of_step.entry(call.step).or_insert_with(|| call.key.clone());
                    if *key != call.key {
                        let line = told(format!("key {}", call.key));
                        let expected = format!("the key of the step's other calls: {key}");
                        return Err(Evidence::new(expected, call.key.clone()).at(line).into());
                    }
                    let owner = format!("{} of {name} {id}", call.step);
                    let first = owners.entry(call.key.clone()).or_insert_with(|| owner.clone());
                    if *first != owner {
                        let line = told(format!("key {}", call.key));
                        let saw = format!("{} is also the key of {first}", call.key);
                        let expected = "a key that no other step of any saga has";
                        return Err(Evidence::new(expected, saw).at(line).into());
                    }
                }
            }
        }
        Ok(())
    })
    .await
}

pub(super) async fn nobody_waits_for_another<S: Orchestrator>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        let hour = Duration::from_secs(3_600);
        // One waits for its answer, one in its pause, one in its undoing.
        for (what, reply) in [
            (What::Act, Reply::Held(Gate::shut())),
            (What::Act, Reply::NotDone),
            (What::Undo, Reply::Held(Gate::shut())),
        ] {
            let patience =
                Patience { first: hour, longest: hour, deadline: FOREVER, ..stage.patience() };
            let scene = stage.scene::<S>();
            let saga = scene.services.saga("checkout", &first(2), patience);
            scene.services.says(what, "reserve", [reply]);
            if what == What::Undo {
                scene.services.says(What::Act, "charge", [Reply::Refused]);
            }
            let waits = scene.clone();
            let first_one = tokio::spawn(async move { waits.run(&saga, "first").await });
            // On this clock that is until all others wait.
            sleep(Duration::from_millis(1)).await;
            if first_one.is_finished() {
                first_one.await?.ok();
                let line = scene.note("the first is over");
                let expected = "it to wait for an answer, or in a pause";
                return Err(Evidence::new(expected, "it did not wait").at(line).into());
            }
            let line = scene.note("the first waits; a second begins");
            let beside = scene.services.saga("checkout", &first(2), patience);
            let second = timeout(Duration::from_millis(1), scene.run(&beside, "second")).await;
            first_one.abort();
            match second {
                Ok(Ok(Outcome::Completed)) => {}
                Ok(other) => {
                    let saw = format!("{other:?}");
                    return Err(Evidence::new("the second completed", saw).at(line).into());
                }
                Err(_) => {
                    let expected = "the second completed, while the first waits";
                    return Err(Evidence::new(expected, "it waits as well").at(line).into());
                }
            }
        }
        Ok(())
    })
    .await
}

pub(super) async fn nothing_is_shared<S: Orchestrator>(world: World) -> Result<(), Finding> {
    const SAGAS: usize = 24;
    play(world, async |mut stage| {
        let patience = Patience { attempts: 2, ..stage.patience() };
        let shared = stage.scene::<S>();
        let mut runs = JoinSet::new();
        let mut scenes = Vec::new();
        for nth in 0..SAGAS {
            // Its own services, its own order; one orchestrator and one log for all.
            let services = stage.scene::<S>().services;
            let number = shared.number + nth as u32;
            let scene = Scene { services, number, ..shared.clone() };
            for step in STEPS {
                let slow = |stage: &mut Stage| {
                    Reply::Slow(Duration::from_millis(stage.random.random_range(1..200)))
                };
                scene.services.always(What::Act, step, slow(&mut stage));
                scene.services.always(What::Undo, step, slow(&mut stage));
            }
            // Every second is refused, each at another step.
            let refused = (nth % 2 == 1).then(|| STEPS[nth / 2 % STEPS.len()]);
            if let Some(step) = refused {
                scene.services.always(What::Act, step, Reply::Refused);
            }
            let saga = scene.services.saga("checkout", &first(STEPS.len()), patience);
            let run = scene.clone();
            runs.spawn(async move {
                let id = format!("order-{}", run.number);
                (nth, timeout(FOREVER, run.run(&saga, &id)).await)
            });
            scenes.push((scene, refused));
        }
        stage.history.turn_page();
        while let Some(ended) = runs.join_next().await {
            let (nth, answer) = ended?;
            let (scene, refused) = &scenes[nth];
            let line = scene.note(format!("order-{}, one of {SAGAS}, is over", scene.number));
            let steps = match refused {
                None => STEPS.len(),
                Some(step) => STEPS.iter().position(|name| name == step).unwrap_or_default(),
            };
            let mut calls: Vec<String> =
                STEPS[..steps].iter().map(|step| (*step).to_owned()).collect();
            if let Some(step) = refused {
                calls.push((*step).to_owned());
                calls.extend(back("undo", steps));
            }
            let made: Vec<String> =
                scene.services.called().iter().map(ToString::to_string).collect();
            let (expected, saw) = (calls.join(", "), made.join(", "));
            if expected != saw {
                return Err(Evidence::new(expected, saw).at(line).into());
            }
            if let Some(call) =
                scene.services.called().iter().find(|call| call.order != scene.number)
            {
                let saw = format!("{call} of order {}", call.order);
                return Err(Evidence::new(format!("order {}", scene.number), saw).at(line).into());
            }
            let expected = match refused {
                None => Outcome::Completed,
                Some(_) => Outcome::Compensated,
            };
            match answer {
                Ok(Ok(outcome)) if outcome == expected => {}
                other => {
                    let saw = format!("{other:?}");
                    return Err(Evidence::new(format!("{expected:?}"), saw).at(line).into());
                }
            }
            let entries = shared.log.entries(&format!("order-{}", scene.number)).len();
            let expected = calls.len();
            if entries != expected {
                let expected = format!("{expected} entries under its id");
                return Err(Evidence::new(expected, entries.to_string()).at(line).into());
            }
        }
        Ok(())
    })
    .await
}

pub(super) async fn apart_after_an_outage<S: Orchestrator>(world: World) -> Result<(), Finding> {
    const SAGAS: usize = 200;
    let patience = Patience {
        attempts: 2,
        first: Duration::from_millis(1_000),
        longest: Duration::from_secs(10),
        deadline: Duration::from_secs(60),
    };
    play(world, async move |stage| {
        let scene = stage.scene::<S>();
        let plans: [Plan; 1] = [plan(STEPS[0])];
        scene.services.says(What::Act, STEPS[0], vec![Reply::NotDone; SAGAS]);
        let began = Instant::now();
        let mut runs = JoinSet::new();
        for nth in 0..SAGAS {
            let saga = scene.services.saga("checkout", &plans, patience);
            let run = scene.clone();
            runs.spawn(async move { run.run(&saga, &format!("order-{nth}")).await.map(drop) });
        }
        let all = async { while runs.join_next().await.is_some() {} };
        if timeout(FOREVER, all).await.is_err() {
            let line = scene.note("nothing more happens");
            return Err(Evidence::new("an end", "none in a day").at(line).into());
        }
        stage.history.turn_page();
        let line = scene.note(format!("{SAGAS} sagas meet one outage, and come back"));
        let returned: Vec<_> =
            scene.services.called().into_iter().filter(|call| call.attempt == 2).collect();
        if returned.len() != SAGAS {
            let saw = format!("{} of them", returned.len());
            return Err(Evidence::new("each comes back once", saw).at(line).into());
        }
        // Of 200 that are spread over a second, two come in the same ten milliseconds: 20 would be
        // one set in 10¹².
        let mut tens: HashMap<u128, HashSet<&str>> = HashMap::new();
        for call in &returned {
            let ten = (call.at - began).as_millis() / 10;
            tens.entry(ten).or_default().insert(call.id.as_str());
        }
        let most = tens.values().map(HashSet::len).max().unwrap_or_default();
        match most <= 20 {
            true => Ok(()),
            false => {
                let expected = "200 that are spread over a second: some 2 in 10 ms";
                Err(Evidence::new(expected, format!("{most} in the same 10 ms")).at(line).into())
            }
        }
    })
    .await
}
