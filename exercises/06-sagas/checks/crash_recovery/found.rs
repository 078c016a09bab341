//! Sagas that stand in the journal in ways of which nobody thinks on the first day.

use super::services::undisturbed;
use super::*;
use sagas::saga::Step;
use std::sync::Mutex;

/// Its steps, of which the fourth is the pivot.
const LEGS: [&str; 12] = [
    "leg 1", "leg 2", "leg 3", "leg 4", "leg 5", "leg 6", "leg 7", "leg 8", "leg 9", "leg 10",
    "leg 11", "leg 12",
];
const PIVOT: &str = "leg 4";

/// Which legs were done and undone.
type Ridden = Arc<Mutex<Vec<String>>>;

/// A long way, with a pivot, that notes what is done. Its last leg is `refused`, or it is not.
fn journey(ridden: &Ridden, refused: bool) -> Saga<Order> {
    LEGS.into_iter().fold(Saga::named("journey"), |saga, leg| {
        let (does, undoes) = (Arc::clone(ridden), Arc::clone(ridden));
        let note = |ridden: &Ridden, what: String| {
            ridden.lock().expect("nobody panics here").push(what);
        };
        let step = Step::new(leg, move |_| {
            note(&does, leg.to_owned());
            async move {
                match refused && leg == LEGS[11] {
                    true => Err(Failure::Refused("the bridge is closed".to_owned())),
                    false => Ok(()),
                }
            }
        })
        .undo(move |_| {
            note(&undoes, format!("{leg} undone"));
            async { Ok(()) }
        });
        saga.step(if leg == PIVOT { step.pivot() } else { step })
    })
}

/// Done but for the last; and at the pivot somebody had to look. Stored from its end, as a table is
/// after a restore; and PostgreSQL knows how small it is, so that it reads it as it lies.
const ON_ITS_WAY: &str = "
    WITH begun AS (
        INSERT INTO saga (name, id, context, token, claims, entries)
        VALUES ('journey', $1, $2, 1, 1, 13))
    INSERT INTO saga_entry (name, id, position, token, entry)
    SELECT 'journey', $1, nth, 1, CASE
        WHEN nth = 3 THEN '{\"entry\":\"parked\",\"step\":\"leg 4\",\"reason\":\"fog\"}'
        WHEN nth = 4 THEN '{\"entry\":\"resumed\"}'
        ELSE '{\"entry\":\"done\",\"step\":\"leg ' || CASE WHEN nth < 3 THEN nth + 1 ELSE nth - 1 END || '\"}'
    END FROM generate_series(12, 0, -1) AS nth";

/// All that has happened counts, in its order: not the last of it, and not the first ten.
pub(super) async fn all_entries<S: Recovery>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let order = Order::of("Ada");
    let driver = scene.driver::<S>("driver", LONG_LEASE, undisturbed()).await?;
    for refused in [false, true] {
        let id = scene.id();
        scene.history().turn_page();
        let context = serde_json::to_string(&order).map_err(said)?;
        scene.services.tables.rows(ON_ITS_WAY, &[&id, &context]).await.map_err(said)?;
        scene.services.tables.rows("ANALYZE saga_entry", &[]).await.map_err(said)?;
        scene.history().note("driver", format!("({id} has 13 entries: `leg 12` is left)"));
        let ridden = Ridden::default();
        let saga = journey(&ridden, refused);
        let taking = driver.recovery.take_over(&saga);
        let answer = scene.history().call("driver", "take over", taking).await;
        let ridden = ridden.lock().expect("nobody panics here").join(", ");
        if ridden != LEGS[11] {
            let what = format!("{id}: only `leg 12` attempted, behind 13 entries and the pivot");
            return Err(driver.broken(what, &ridden));
        }
        let stands = "SELECT coalesce(outcome, 'unfinished') FROM saga WHERE id = $1";
        let stands = scene.ask(stands, &id).await?.join("");
        let should = if refused { "parked" } else { "completed" };
        if stands != should {
            let what = format!("{id} {should}: behind the pivot there is only forward");
            return Err(driver.broken(what, &format!("{stands}; {}", shown(&answer))));
        }
        let last = "SELECT entry FROM saga_entry WHERE id = $1 ORDER BY position DESC LIMIT 1";
        let last = scene.ask(last, &id).await?.join("");
        if refused && !last.contains("the bridge is closed") {
            return Err(driver.broken("parked, with what was said: the bridge is closed", &last));
        }
    }
    Ok(())
}

/// The step that was left has been taken out of the program, or there never was one.
pub(super) async fn nothing_left<S: Recovery>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let order = Order::of("Tony");
    let driver = scene.driver::<S>("driver", LONG_LEASE, undisturbed()).await?;
    let [found, new] = [scene.id(), scene.id()];
    scene.put(&found, &order).await?;
    let write = "WITH one AS (UPDATE saga SET entries = 1, claims = 1 WHERE id = $1)
                 INSERT INTO saga_entry (name, id, position, token, entry)
                 VALUES ('checkout', $1, 0, 0, '{\"entry\":\"done\",\"step\":\"place\"}')";
    scene.services.tables.rows(write, &[&found]).await.map_err(said)?;
    let saga = Saga::<Order>::named(NAME).step(Step::new("place", async |_| Ok(())));
    let taken = scene.history().call("driver", "take over", driver.recovery.take_over(&saga)).await;
    let without = Saga::<Order>::named(NAME);
    let starting = driver.recovery.start(&without, &new, order.clone());
    let started = scene.history().call("driver", format!("start {new}"), starting).await;
    for (id, saw) in [(&found, shown(&taken)), (&new, shown(&started))] {
        let stands = scene.stands(id).await?;
        if stands != "completed" {
            let what = format!("{id} completed in the journal: no step of it is left");
            return Err(driver.broken(what, &format!("{stands}; {saw}")));
        }
    }
    // Nor is it found again, each time that somebody looks.
    let again = driver.recovery.take_over(&saga).await;
    match again {
        Ok(TakenOver { ended: 0, failed: 0, .. }) => Ok(()),
        again => Err(driver.broken("nothing more to take over", &shown(&again))),
    }
}

/// Whoever names them thinks of no one's SQL.
const IDS: [&str; 6] = ["O'Brien", "50%_of\\", "\"ß\" 🛒", "a:b:checkout/1", "$1; --", " Order-1 "];

pub(super) async fn any_id<S: Recovery>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let order = Order::of("Edsger");
    let driver = scene.driver::<S>("driver", LONG_LEASE, undisturbed()).await?;
    // One that is too like another.
    let twin = " order-1 ".to_owned();
    for id in IDS.map(str::to_owned).into_iter().chain([twin, "x".repeat(300)]) {
        scene.history().turn_page();
        let found = format!("{id}+");
        scene.put(&found, &order).await?;
        let answer = driver.start(&id, &order).await;
        if !matches!(answer, Ok(Outcome::Completed)) {
            let what = format!("Completed, whatever it is called: {id}");
            return Err(driver.broken(what, &shown(&answer)));
        }
        scene.recovered(&driver, &[(found.clone(), order.clone())]).await?;
        for id in [&id, &found] {
            scene.ends(id, &order, 0).await?;
        }
    }
    Ok(())
}

/// So many were under way when the program died.
const UNDER_WAY: &str = "
    INSERT INTO saga (name, id, context)
    SELECT 'checkout', 'order-' || nth, $1 FROM generate_series(1, 260) AS nth";

pub(super) async fn hundreds<S: Recovery>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let context = serde_json::to_string(&Order::of("Grace")).map_err(said)?;
    scene.services.tables.rows(UNDER_WAY, &[&context]).await.map_err(said)?;
    scene.history().note("driver", "(260 sagas have begun, and nobody drives them)");
    let driver = scene.driver::<S>("driver", LONG_LEASE, undisturbed()).await?;
    let saga = Saga::<Order>::named(NAME).step(Step::new("place", async |_| Ok(())));
    let taking = driver.recovery.take_over(&saga);
    let answer = scene.history().call("driver", "take over", taking).await;
    let left = "SELECT id FROM saga WHERE name = $1 AND outcome IS DISTINCT FROM 'completed'";
    let left = scene.ask(left, NAME).await?;
    if !left.is_empty() || !matches!(answer, Ok(TakenOver { ended: 260, failed: 0, .. })) {
        let saw = format!("{} are left; {}", left.len(), shown(&answer));
        return Err(driver.broken("ended: 260, and none left", &saw));
    }
    Ok(())
}

/// Nobody has looked for a year; or somebody has, a thousand times, and died of it each time.
pub(super) async fn left_for_long<S: Recovery>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let order = Order::of("Barbara");
    let [lay, tried] = [scene.id(), scene.id()];
    for (id, how) in
        [(&lay, "begun = now() - interval '400 days'"), (&tried, "claims = 1000, token = 1000")]
    {
        scene.put(id, &order).await?;
        let change = format!("UPDATE saga SET {how} WHERE id = $1");
        scene.services.tables.rows(&change, &[id]).await.map_err(said)?;
        scene.history().note("driver", format!("({id} in the journal: {how})"));
    }
    let driver = scene.driver::<S>("driver", LONG_LEASE, undisturbed()).await?;
    let sagas = [(lay, order.clone()), (tried, order)];
    scene.recovered(&driver, &sagas).await?;
    for (id, order) in &sagas {
        scene.ends(id, order, 0).await?;
    }
    Ok(())
}
