//! A write that is late, wherever it is held up.

use super::*;

pub(super) async fn write_on_its_way<S: FencedStock>(world: World) -> Result<(), Finding> {
    held_up::<S>(world, true).await
}

pub(super) async fn between_read_and_write<S: FencedStock>(world: World) -> Result<(), Finding> {
    held_up::<S>(world, false).await
}

/// The early holder's write is held at its k-th step. Meanwhile its lease ends, and the later holder
/// reads, and `writes` already or only when the late write has gone on: which must be refused.
async fn held_up<S: FencedStock>(world: World, writes: bool) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let late = scene.client::<S>("late", PATIENT).await?;
    late.warm_up(&scene).await?;
    let mut steps = 0;
    for step in 1..=STEPS {
        let early = scene.client::<S>("early", PATIENT).await?;
        early.warm_up(&scene).await?;
        let product = scene.another().await?;
        let [a, b] = [0, 1].map(|later| Paper::of(scene.first + later));
        early.finds(&product, scene.units, &a).await?;
        early.proxy.reset_count();
        let gate = early.proxy.hold(move |request| request.nth == step);
        let mut writing = early.start_write(&product, scene.units - 2, &a);
        if !meets(&gate, &mut writing).await? {
            let _ = writing.await?;
            break;
        }
        steps += 1;
        // Every look at a clock is behind it.
        a.is_over();
        let what = "the later holder to work: who is stopped must not hold it up";
        let found = late.soon(what, || late.read(&product, &b)).await?;
        if found != scene.units {
            return Err(late.broken(format!("{} units", scene.units), found.to_string()));
        }
        if writes {
            late.sets(&product, scene.units - 1, &b).await?;
        }
        gate.open();
        if let Err(Error::Slow(_)) = writing.await? {
            return Err(Finding::inconclusive("the machine is too busy for a write to be held"));
        }

        if !writes {
            scene
                .has(&product, scene.units, "the later holder has read it, and is about to write")
                .await?;
            late.sets(&product, scene.units - 1, &b).await?;
        }
        let because = "the later holder wrote it, and the late one nothing";
        scene.has(&product, scene.units - 1, because).await?;
        let answer = early.write(&product, scene.units - 3, &a).await;
        early.refused(answer, b.token)?;
    }
    landed(steps, "the early holder's write asked PostgreSQL nothing")
}

pub(super) async fn waits_for_the_row<S: FencedStock>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    // They wait, and nobody is to give up.
    let patient = Options { timeout: LONG };
    let early = scene.client::<S>("early", patient).await?;
    let late = scene.client::<S>("late", patient).await?;
    early.warm_up(&scene).await?;
    late.warm_up(&scene).await?;
    let product = scene.another().await?;
    let [a, b] = [0, 1].map(|later| Paper::of(scene.first + later));
    early.finds(&product, scene.units, &a).await?;

    // Somebody has the row. The later holder's write waits for it first, the early one's behind. The
    // row is locked and not changed: of those who wait for a changed one, the second may come first.
    let postgres = scene.world.postgres().await?;
    let (url, lock) = (postgres.url().to_owned(), product.clone());
    let held = scene.world.fault("somebody else has the row");
    let session = tokio::task::spawn_blocking(move || {
        let mut session = open(&url)?;
        let lock = format!("BEGIN; SELECT 1 FROM fenced_stock WHERE product = '{lock}' FOR UPDATE");
        session.query(&lock).map_err(|error| said(&error))?;
        Ok::<_, Finding>(session)
    });
    let mut session = session.await??;
    let overtaking = late.start_write(&product, scene.units - 1, &b);
    waiting(&scene, 1).await?;
    let overtaken = early.start_write(&product, scene.units - 2, &a);
    waiting(&scene, 2).await?;
    drop(held);
    let end = move || session.query("COMMIT").map(drop).map_err(|error| said(&error));
    tokio::task::spawn_blocking(end).await??;
    if let Err(error) = overtaking.await? {
        return Err(late.broken("the later holder's write", error.to_string()));
    }
    let answer = overtaken.await?;
    scene.has(&product, scene.units - 1, "as the later holder wrote it").await?;
    early.refused(answer, b.token)
}

/// Until so many wait for a lock.
async fn waiting(scene: &Scene, sessions: usize) -> Result<(), Finding> {
    let began = Instant::now();
    while scene.world.postgres().await?.waiting().await? < sessions {
        if began.elapsed() > LONG / 2 {
            return Err(Finding::inconclusive("the fault did not land: nobody waits for the row"));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}
