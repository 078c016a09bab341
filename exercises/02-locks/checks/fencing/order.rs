//! Who may, and who may not, when nothing else goes wrong.

use super::*;

pub(super) async fn turn_by_turn<S: FencedStock>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let (product, mut units) = (scene.product.as_str(), scene.units);
    let early = scene.client::<S>("early", PATIENT).await?;
    let late = scene.client::<S>("late", PATIENT).await?;
    // Tokens have gaps: not everybody who holds a lease comes to read.
    for (client, token) in [(&early, 0), (&late, 1), (&early, 5), (&late, 6)] {
        let lease = Paper::of(scene.first + token);
        client.finds(product, units, &lease).await?;
        client.finds(product, units, &lease).await?;
        units -= 1;
        client.sets(product, units, &lease).await?;
        client.finds(product, units, &lease).await?;
        scene.has(product, units, "one less than before").await?;
    }
    // A write need not follow a read.
    units += 7;
    early.sets(product, units, &Paper::of(scene.first + 9)).await?;
    scene.has(product, units, "as written").await?;

    let lease = Paper::of(scene.first + 10);
    let answers = [
        early.read("nothing of this name", &lease).await.map(drop),
        early.write("nothing of this name", 1, &lease).await,
    ];
    for answer in answers {
        match answer {
            Err(Error::NoSuchProduct) => {}
            Err(error) => return Err(early.broken("no such product", error.to_string())),
            Ok(()) => return Err(early.broken("no such product", "done")),
        }
    }
    Ok(())
}

pub(super) async fn late_writer<S: FencedStock>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let early = scene.client::<S>("early", PATIENT).await?;
    let late = scene.client::<S>("late", PATIENT).await?;
    let [a, b] = [0, 1].map(|later| Paper::of(scene.first + later));
    let (product, units) = (scene.product.as_str(), scene.units);
    early.finds(product, units, &a).await?;
    late.finds(product, units, &b).await?;
    late.sets(product, units - 1, &b).await?;
    let answer = early.write(product, units - 2, &a).await;
    scene.has(product, units - 1, "as the later holder wrote it").await?;
    early.refused(answer, b.token)?;
    // Being refused changes nothing for others, nor does asking again.
    let answer = early.write(product, units - 2, &a).await;
    early.refused(answer, b.token)?;
    scene.has(product, units - 1, "as the later holder wrote it").await?;
    late.finds(product, units - 1, &b).await
}

pub(super) async fn late_reader<S: FencedStock>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let early = scene.client::<S>("early", PATIENT).await?;
    let late = scene.client::<S>("late", PATIENT).await?;
    let [a, b] = [0, 1].map(|later| Paper::of(scene.first + later));
    let (product, units) = (scene.product.as_str(), scene.units);
    late.sets(product, units - 1, &b).await?;
    let read = early.read(product, &a).await;
    let refused = early.refused(read.map(drop), b.token);
    // What it does to the fence is worse than what it reads.
    let answer = early.write(product, units - 2, &a).await;
    scene.has(product, units - 1, "as the later holder wrote it").await?;
    refused?;
    early.refused(answer, b.token)
}

pub(super) async fn one_write<S: FencedStock>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let client = scene.client::<S>("client", PATIENT).await?;
    let lease = Paper::of(scene.first);
    let (product, units) = (scene.product.as_str(), scene.units);
    client.finds(product, units, &lease).await?;
    client.sets(product, units - 1, &lease).await?;
    let answer = client.write(product, units - 2, &lease).await;
    scene.has(product, units - 1, "a lease buys one write").await?;
    client.refused(answer, lease.token)
}

pub(super) async fn only_its_product<S: FencedStock>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let client = scene.client::<S>("client", PATIENT).await?;
    let other = scene.another().await?;
    let [a, b] = [0, 1].map(|later| Paper::of(scene.first + later));
    client.sets(&scene.product, scene.units - 1, &b).await?;
    client.finds(&other, scene.units, &a).await?;
    client.sets(&other, scene.units - 2, &a).await?;
    scene.has(&other, scene.units - 2, "nobody came later to this one").await?;
    scene.has(&scene.product, scene.units - 1, "nobody else wrote it").await
}
