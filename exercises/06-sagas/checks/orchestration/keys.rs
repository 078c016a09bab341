//! One key for a step, whoever calls it and how often, and for no other.

use super::scene::{FOREVER, Plan, Reply, Scene, Stage, What, plan, play};
use super::services::Called;
use grading::{Child, Evidence, Finding, SOON, World};
use rand::RngExt;
use sagas::orchestration::{Memory, Orchestrator};
use sagas::saga::Patience;
use sagas::{Run, Saga, Step};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::timeout;

/// Which step of which saga has a key.
#[derive(Default)]
struct Owners(HashMap<String, String>);

impl Owners {
    fn owns<S: Orchestrator>(
        &mut self,
        scene: &Scene<S>,
        call: &Called,
        saga: &str,
        id: &str,
    ) -> Result<(), Finding> {
        let owner = format!("{} of {saga} {id}", call.step);
        let first = self.0.entry(call.key.clone()).or_insert_with(|| owner.clone());
        if *first == owner {
            return Ok(());
        }
        let line = scene.note(format!("{call} of {saga} {id}: key {}", call.key));
        let saw = format!("{} is also the key of {first}", call.key);
        Err(Evidence::new("a key that no other step of any saga has", saw).at(line).into())
    }
}

pub(super) async fn same_key<S: Orchestrator>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        let plans = ["pack", "pack1", "pack-1", "charge"].map(|step| plan(step).asked());
        let mut owners = Owners::default();
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
                for call in &scene.services.called() {
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
                    owners.owns(&scene, call, name, id)?;
                }
            }
        }
        Ok(())
    })
    .await
}

/// Names that run into one another where this stands between them.
struct Words {
    between: &'static str,
    sagas: [&'static str; 3],
    steps: [&'static str; 4],
}

macro_rules! words {
    ($($between:literal)+) => {
        [$(Words {
            between: $between,
            sagas: ["shop", "pay", concat!("shop", $between, "pay")],
            steps: ["card", "pay", concat!("pay", $between, "card"), concat!("card", $between, "shop")],
        }),+]
    };
}

/// All but the slash, which no name holds.
const WORDS: [Words; 10] = words!["" ":" "::" "." "-" "_" "|" "#" "," " "];

pub(super) async fn keys_are_apart<S: Orchestrator>(world: World) -> Result<(), Finding> {
    play(world, async |mut stage| {
        let mut owners = Owners::default();
        let number = stage.number;
        for words in &WORDS {
            let between = words.between;
            let ids = [
                number.to_string(),
                format!("{number}{between}pay"),
                format!("{number}{between}shop"),
                format!("card{between}{number}"),
            ];
            for saga in words.sagas {
                for id in &ids {
                    each_has_its_own::<S>(&mut stage, &mut owners, saga, words.steps, id).await?;
                }
            }
        }
        // What an id may hold, and how long it may be.
        let long = number.to_string().repeat(100);
        for id in [
            format!("{long}1"),
            format!("{long}2"),
            format!("1{long}"),
            format!("{number}/1"),
            format!("{number}-1"),
            format!("{number}?1"),
            format!("{number}\u{e9}"),
            format!("{number}\u{e8}"),
            format!("{number}a"),
            format!("{number}A"),
            format!("{number} "),
            format!(" {number}"),
        ] {
            each_has_its_own::<S>(&mut stage, &mut owners, "shop", WORDS[0].steps, &id).await?;
        }
        Ok(())
    })
    .await
}

async fn each_has_its_own<S: Orchestrator>(
    stage: &mut Stage,
    owners: &mut Owners,
    saga: &'static str,
    steps: [&'static str; 4],
    id: &str,
) -> Result<(), Finding> {
    let scene = stage.scene::<S>();
    let plans: Vec<Plan> = steps.iter().map(|step| plan(step)).collect();
    let steps = scene.services.saga(saga, &plans, stage.patience());
    if timeout(FOREVER, scene.run(&steps, id)).await.is_err() {
        let line = scene.note("nothing more happens");
        return Err(Evidence::new("an end", "none in a day").at(line).into());
    }
    let called = scene.services.called();
    if called.len() != plans.len() {
        let line = scene.note("is over");
        let saw = format!("{} calls", called.len());
        return Err(Evidence::new("each step called once", saw).at(line).into());
    }
    called.iter().try_for_each(|call| owners.owns(&scene, call, saga, id))
}

/// One step, which passes its key on.
fn telling(tells: impl Fn(&str) + Send + Sync + 'static) -> Saga<()> {
    let step = Step::new("charge", move |run: Run<()>| {
        tells(&run.key);
        async { Ok(()) }
    });
    Saga::named("checkout").step(step)
}

/// Goes on with the saga in another process, and tells the key.
pub(super) async fn successor<S: Orchestrator>(child: Child) {
    let id: String = child.arguments();
    let saga = telling(Child::say);
    let subject = S::new();
    let log = Memory::default();
    let goes_on = subject.resume(&saga, &id, Arc::new(()), Vec::new(), &log);
    if let Err(error) = goes_on.await {
        Child::say(&format!("error: {error}"));
    }
}

pub(super) async fn another_process<S: Orchestrator>(world: World) -> Result<(), Finding> {
    let id = format!("order-{}", world.random().random_range(100..1_000));
    let keys: Arc<Mutex<Vec<String>>> = Arc::default();
    let told = Arc::clone(&keys);
    let saga = telling(move |key| {
        told.lock().unwrap_or_else(PoisonError::into_inner).push(key.to_owned());
    });
    let call = world.invoke("orchestrator", format!("run {id}"));
    let subject = S::new();
    let answer = subject.run(&saga, &id, Arc::new(()), &Memory::default()).await;
    call.end_with(&answer);
    let here = keys.lock().unwrap_or_else(PoisonError::into_inner).join(", ");
    let first = world.history().note("services", format!("key {here}"));
    let mut other = world.process(&id)?;
    let there = other.expect("a key", SOON).await?;
    let then = world.history().note("services", format!("key {there}"));
    match here == there {
        true => Ok(()),
        false => {
            let expected = format!("{here}: whoever goes on with it has the same key");
            Err(Evidence::new(expected, there).at(first).at(then).into())
        }
    }
}
