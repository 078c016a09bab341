//! Effects that fail, and say so or do not.

use super::scene::WHY;
use super::*;
use messaging::idempotent_consumer::Error;
use testbed::gate::Gate;

pub(super) async fn failed_effect<S: Inbox>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let first = scene.client::<S>("first", PATIENT).await?;
    let second = scene.client::<S>("second", PATIENT).await?;
    for redelivered_to in [&first, &second] {
        let message = scene.message();
        let open = Gate::barrier(1);
        let answer = first.deliver(&message, Middle::Fails(open)).await;
        match answer {
            Err(Error::Effect(why)) if why.to_string() == WHY => {}
            Err(error) => {
                return Err(first.broken(format!("the effect's error: {WHY}"), error.to_string()));
            }
            Ok(once) => return Err(first.broken("an error", format!("{once:?}"))),
        }
        scene.holds(first.consumer, &message, 0, "the effect has failed").await?;
        scene.is(redelivered_to, &message, Once::First).await?;
        scene.is(&first, &message, Once::Seen).await?;
    }
    Ok(())
}

/// A name that is taken, a conflict with another transaction, a limit, a lock: codes that an inbox
/// may meet in its own statements, where they have another meaning.
const REFUSALS: [&str; 4] = ["23505", "40001", "57014", "55P03"];

pub(super) async fn refused_effect<S: Inbox>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let first = scene.client::<S>("first", PATIENT).await?;
    for code in REFUSALS {
        let message = scene.message();
        if first.deliver(&message, Middle::Refused(code)).await.is_ok() {
            scene.acknowledged(&first, &message).await?;
        }
        scene.holds(first.consumer, &message, 0, "a statement of it was refused").await?;
        scene.is(&first, &message, Once::First).await?;
        scene.is(&first, &message, Once::Seen).await?;
    }
    Ok(())
}

pub(super) async fn hidden_error<S: Inbox>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let first = scene.client::<S>("first", PATIENT).await?;
    first.warm_up(&scene).await?;
    let message = scene.message();
    let answer = first.deliver(&message, Middle::Hides).await;
    if let Ok(once) = answer {
        let expected = "an error: after a statement that failed, COMMIT rolls back";
        let rows = scene.rows(first.consumer, &message).await?;
        let saw = format!("{once:?}, and {rows} rows in the ledger");
        return Err(first.broken(expected, saw));
    }
    scene.holds(first.consumer, &message, 0, "a statement of it has failed").await?;
    scene.is(&first, &message, Once::First).await?;
    scene.is(&first, &message, Once::Seen).await
}
