//! Sagas beside one another.

use super::scene::{
    FOREVER, Plan, Reply, STEPS, Scene, Stage, What, back, dones, first, plan, play,
};
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

/// For what a saga waits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waits {
    Acting,
    Pausing,
    Asking,
    Undoing,
    Writing,
}

pub(super) async fn nobody_waits_for_another<S: Orchestrator>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        let hour = Duration::from_secs(3_600);
        for waits in [Waits::Acting, Waits::Pausing, Waits::Asking, Waits::Undoing, Waits::Writing]
        {
            let patience =
                Patience { first: hour, longest: hour, deadline: FOREVER, ..stage.patience() };
            let scene = stage.scene::<S>();
            let plans = [STEPS[0], STEPS[1]].map(|step| plan(step).asked());
            let saga = scene.services.saga("checkout", &plans, patience);
            let (services, held) = (&scene.services, Reply::Held(Gate::shut()));
            match waits {
                Waits::Acting => services.says(What::Act, "reserve", [held]),
                Waits::Pausing => services.says(What::Act, "reserve", [Reply::NotDone]),
                Waits::Asking => {
                    services.says(What::Act, "reserve", [Reply::Lost]);
                    services.says(What::Ask, "reserve", [held]);
                }
                Waits::Undoing => {
                    services.says(What::Act, "charge", [Reply::Refused]);
                    services.says(What::Undo, "reserve", [held]);
                }
                Waits::Writing => scene.log.holds(Some(Gate::shut())),
            }
            let one = scene.clone();
            let first_one = tokio::spawn(async move { one.run(&saga, "first").await });
            // On this clock that is until all others wait.
            sleep(Duration::from_millis(1)).await;
            if first_one.is_finished() {
                first_one.await?.ok();
                let line = scene.note("the first is over");
                let expected = "it to wait for an answer, or in a pause";
                return Err(Evidence::new(expected, "it did not wait").at(line).into());
            }
            scene.log.holds(None);
            second_is_done(&scene, patience, "the first waits; a second begins").await?;
            first_one.abort();
        }
        Ok(())
    })
    .await
}

/// Whether one more saga is completed, while others wait.
async fn second_is_done<S: Orchestrator>(
    scene: &Scene<S>,
    patience: Patience,
    others: &str,
) -> Result<(), Finding> {
    let line = scene.note(others);
    let beside = scene.services.saga("checkout", &first(2), patience);
    match timeout(Duration::from_millis(1), scene.run(&beside, "second")).await {
        Ok(Ok(Outcome::Completed)) => Ok(()),
        Ok(other) => {
            let saw = format!("{other:?}");
            Err(Evidence::new("it completed", saw).at(line).into())
        }
        Err(_) => {
            let expected = "it completed, while others wait";
            Err(Evidence::new(expected, "it waits as well").at(line).into())
        }
    }
}

pub(super) async fn many_wait<S: Orchestrator>(world: World) -> Result<(), Finding> {
    // More than whoever bounds them would allow.
    const WAIT: usize = 1_200;
    play(world, async |mut stage| {
        let patience = Patience { deadline: FOREVER, ..stage.patience() };
        let scene = stage.scene::<S>();
        let mut runs = JoinSet::new();
        for nth in 0..WAIT {
            let saga = scene.services.saga("checkout", &first(1), patience);
            let one = scene.clone();
            scene.services.always(What::Act, STEPS[0], Reply::Hangs);
            runs.spawn(async move { one.run(&saga, &format!("order-{nth}")).await.map(drop) });
        }
        sleep(Duration::from_millis(1)).await;
        let services = stage.scene::<S>().services;
        let called = scene.services.called().len();
        let scene = Scene { services, ..scene };
        if called != WAIT {
            let line = scene.note(format!("{WAIT} sagas were begun, and no service answers"));
            let expected = format!("{WAIT} calls of the first step");
            return Err(Evidence::new(expected, called.to_string()).at(line).into());
        }
        second_is_done(&scene, patience, "all of them wait; another begins").await
    })
    .await
}

pub(super) async fn one_id<S: Orchestrator>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        let patience = stage.patience();
        let checkout = stage.scene::<S>();
        // The same subject, with services and a log of its own.
        let Scene { services, log, .. } = stage.scene::<S>();
        let refund = Scene { services, log, ..checkout.clone() };
        let slow = Reply::Slow(Duration::from_secs(1));
        checkout.services.says(What::Act, "charge", [slow]);
        checkout.services.always(What::Act, "send", Reply::Refused);
        let saga = checkout.services.saga("checkout", &first(4), patience);
        let one = checkout.clone();
        let first_one = tokio::spawn(async move { one.runs(&saga).await });
        sleep(Duration::from_millis(1)).await;
        checkout.note("it waits; the refund of this order begins");
        let saga = refund.services.saga("refund", &first(5), patience);
        let ended = refund.runs(&saga).await?;
        ended.did(&STEPS)?;
        ended.wrote(&dones(5))?;
        ended.is(Outcome::Completed)?;
        let ended = first_one.await??;
        let mut calls: Vec<String> = STEPS[..4].iter().map(|step| (*step).to_owned()).collect();
        calls.extend(back("undo", 3));
        ended.did(&calls)?;
        let mut entries = dones(3);
        entries.push("refused send".to_owned());
        entries.extend(back("undone", 3));
        ended.wrote(&entries)?;
        ended.is(Outcome::Compensated)
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
