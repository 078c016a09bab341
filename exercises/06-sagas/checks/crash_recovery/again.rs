//! A saga that is called for again, and what may have been begun of it.

use super::services::{held_at, refuses, undisturbed};
use super::*;

/// For the check that waits for a lease to end.
const BRIEF_LEASE: Options =
    Options { ttl: Duration::from_millis(800), timeout: Duration::from_millis(400) };

impl Scene {
    /// A saga whose caller was dropped before it did `what`.
    async fn dropped<S: Recovery>(
        &self,
        id: &str,
        order: &Order,
        what: &'static str,
        options: Options,
    ) -> Result<(), Finding> {
        let gate = Gate::shut();
        let early = self.driver::<S>("early", options, held_at(what, &gate)).await?;
        let mut driving = early.spawn_start(id, order);
        comes_to(&gate, &mut driving).await?;
        driving.abort();
        let _ = driving.await;
        self.history().note("early", "(its caller is dropped)");
        Ok(())
    }
}

pub(super) async fn dropped_caller<S: Recovery>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let (id, order) = (scene.id(), Order::of("Ada"));
    scene.dropped::<S>(&id, &order, "charge", BRIEF_LEASE).await?;
    let late = scene.driver::<S>("late", LONG_LEASE, undisturbed()).await?;
    scene.recovered(&late, &[(id.clone(), order.clone())]).await?;
    scene.ends(&id, &order, 1).await
}

pub(super) async fn started_again<S: Recovery>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let (id, order) = (scene.id(), Order::of("Ada"));
    scene.dropped::<S>(&id, &order, "charge", LONG_LEASE).await?;
    scene.world.redis().flush_all().await?;
    // The customer calls again, and by now the shop knows her by another name.
    let late = scene.driver::<S>("late", LONG_LEASE, undisturbed()).await?;
    let answer = late.start_again(&id, &Order::of("Countess of Lovelace")).await;
    if !matches!(answer, Ok(Outcome::Completed)) {
        let what = "Completed: nobody drives it, and it goes on where it was";
        return Err(late.broken(what, &shown(&answer)));
    }
    scene.ends(&id, &order, 1).await
}

/// What is refused and has not been begun is not undone: that it was, is written down or it was not.
pub(super) async fn only_the_first<S: Recovery>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let order = Order::of("Grace");
    // From the beginning: nobody can have begun it.
    let id = scene.id();
    let driver = scene.driver::<S>("driver", LONG_LEASE, refuses("place")).await?;
    let answer = driver.start(&id, &order).await;
    scene.undone(&id, &[], &format!("start: {}", shown(&answer))).await?;
    // Taken over in `reserve`, which may have been begun. `charge` is begun by nobody else.
    scene.history().turn_page();
    let id = scene.id();
    scene.dropped::<S>(&id, &order, "reserve", LONG_LEASE).await?;
    scene.world.redis().flush_all().await?;
    let late = scene.driver::<S>("late", LONG_LEASE, refuses("charge")).await?;
    scene.recovered(&late, &[(id.clone(), order)]).await?;
    scene.undone(&id, &["cancel", "place", "release", "reserve"], "taken over").await
}

impl Scene {
    /// Compensated, with these effects and no others.
    async fn undone(&self, id: &str, should: &[&str], saw: &str) -> Result<(), Finding> {
        let (stands, effects) = (self.stands(id).await?, self.counted("effect", id).await?);
        let should = should.iter().map(|what| ((*what).to_owned(), 1)).collect();
        if stands == "compensated" && effects == should {
            return Ok(());
        }
        let what =
            format!("{id} compensated: {}; nobody had begun what was refused", told(&should));
        let strange = effects.keys().find(|what| !should.contains_key(*what));
        let part = strange.map_or(id, String::as_str);
        let step = LANES.iter().filter_map(|lane| self.history().last(lane, part)).max();
        let saw = format!("{stands}: {}; {saw}", told(&effects));
        Err(Evidence::new(what, saw).at(step).into())
    }
}
