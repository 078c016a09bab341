//! A step that somebody else may have begun, and that says no when it is attempted.

use super::services::held_at;
use super::*;
use std::sync::atomic::AtomicBool;

/// The card is charged by the early one's call, which was under way all the time; the late one's comes
/// behind it, and is refused.
fn lands_and_refuses(early: &Services, id: &str, order: &Order) -> Hook {
    let (early, landed) = (early.clone(), Arc::new(AtomicBool::new(false)));
    let (id, order) = (id.to_owned(), order.clone());
    hook(move |moment: Moment| {
        let (early, landed) = (early.clone(), Arc::clone(&landed));
        let (id, order) = (id.clone(), order.clone());
        async move {
            if moment.what != "charge" || moment.after {
                return Ok(());
            }
            if !landed.swap(true, Ordering::SeqCst) {
                early.lands("charge", &id, &order).await?;
            }
            Err(Failure::Refused("the card's limit is used up".to_owned()))
        }
    })
}

/// "No" is said of now, and a refusal of this attempt: the one that was on its way may be done.
pub(super) async fn refused_when_resumed<S: Recovery>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let order = Order::of("Grace");
    // Where the bank can be asked, and where it cannot; by who takes over, and by who is called again.
    for (asked, started) in [(true, false), (false, false), (true, true), (false, true)] {
        let id = scene.id();
        scene.history().turn_page();
        scene.left_in::<S>(&id, &order, asked).await?;
        let services = Services::open(&scene.url, "early", Some(scene.history().clone()))?;
        let lands = lands_and_refuses(&services, &id, &order);
        let late = scene.driver_that_asks::<S>("late", lands, asked).await?;
        match started {
            true => drop(late.start_again(&id, &order).await),
            false => scene.recovered(&late, &[(id.clone(), order.clone())]).await?,
        }
        scene.charged_fits(&id, &order).await?;
    }
    Ok(())
}

impl Scene {
    /// A saga whose driver has gone while its call to the bank was on its way.
    async fn left_in<S: Recovery>(
        &self,
        id: &str,
        order: &Order,
        asked: bool,
    ) -> Result<(), Finding> {
        let gate = Gate::shut();
        let early = self.driver_that_asks::<S>("early", held_at("charge", &gate), asked).await?;
        let mut driving = early.spawn_start(id, order);
        comes_to(&gate, &mut driving).await?;
        driving.abort();
        let _ = driving.await;
        self.history().note("early", "(is gone; its call to the bank is on its way)");
        self.world.redis().flush_all().await?;
        Ok(())
    }

    async fn driver_that_asks<S: Recovery>(
        &self,
        lane: &'static str,
        hook: Hook,
        asked: bool,
    ) -> Result<Arc<Driver<S>>, Finding> {
        let recovery = S::open(&self.url, self.world.redis().url(), LONG_LEASE)
            .map_err(|error| Evidence::new("open() to work", error.to_string()))?;
        let services = Services::open(&self.url, lane, Some(self.history().clone()))?;
        let saga = checkout(&services, &hook, asked);
        Ok(Arc::new(Driver { lane, recovery, saga, history: self.history().clone() }))
    }

    /// The charge is there: so is the rest of the order, or it is given back.
    async fn charged_fits(&self, id: &str, order: &Order) -> Result<(), Finding> {
        let (stands, effects) = (self.stands(id).await?, self.counted("effect", id).await?);
        let all = |effects: &[&str]| effects.iter().map(|what| ((*what).to_owned(), 1)).collect();
        let forward: BTreeMap<String, usize> = all(&order.effects());
        let back = all(&["place", "reserve", "charge", "refund", "release", "cancel"]);
        let fits = match stands.as_str() {
            "compensated" => effects == back,
            stands => stands == "completed" && effects == forward,
        };
        if fits {
            return self.nothing_ruled_out(id).await;
        }
        let what = format!("{id} compensated: {}; the charge may have been begun", told(&back));
        let step = self.history().last("early", "charge");
        Err(Evidence::new(what, format!("{stands}: {}", told(&effects))).at(step).into())
    }

    /// Whoever goes on from these entries must not read that nothing was done.
    async fn nothing_ruled_out(&self, id: &str) -> Result<(), Finding> {
        let entries = self.ask("SELECT entry FROM saga_entry WHERE id = $1", id).await?;
        let certain =
            |entry: &Entry| matches!(entry, Entry::Refused { step, .. } if step == "charge");
        let read = |text: &String| serde_json::from_str(text).is_ok_and(|entry| certain(&entry));
        let Some(refused) = entries.iter().find(|entry| read(entry)) else { return Ok(()) };
        let what = "no entry that says `refused`: that it was certainly not done";
        let step = self.history().last("early", "charge");
        Err(Evidence::new(what, refused).at(step).into())
    }
}
