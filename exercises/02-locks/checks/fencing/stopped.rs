//! A real process that is really stopped.

use super::*;
use locks::lease::{Lease, RedisLease};
use serde::{Deserialize, Serialize};

/// Long enough for a busy machine to read in.
const TTL: Duration = Duration::from_millis(800);

/// What the second process is told.
#[derive(Serialize, Deserialize)]
pub(super) struct Order {
    redis: String,
    postgres: String,
    product: String,
}

/// Acquires, reads, says what it has read, and writes one less when it is told to.
pub(super) async fn holder<S: FencedStock>(mut child: Child) {
    let Order { redis, postgres, product } = child.arguments();
    let options = lease::Options { ttl: TTL, timeout: Duration::from_secs(1) };
    let leases = RedisLease::open(&redis, options).expect("the parent's URL can be read");
    let stock = S::open(&postgres, PATIENT).expect("the parent's URL can be read");
    // The first call of a connection is slow, and the lease is short.
    let _ = stock.read("nothing of this name", &Paper::of(1)).await;
    let Ok(lease) = leases.acquire(&product, SOON).await else {
        return Child::say("no lease");
    };
    let units = match stock.read(&product, &lease).await {
        Ok(units) => units,
        Err(error) => return Child::say(&format!("error: {error}")),
    };
    Child::say(&format!("{units} {}", lease.token()));
    child.hear().await;
    match stock.write(&product, units - 1, &lease).await {
        Ok(()) => Child::say("done"),
        Err(error) => Child::say(&error.to_string()),
    }
}

pub(super) async fn stopped_holder<S: FencedStock>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let product = scene.product.clone();
    let proxy = scene.world.postgres_client("process").await?;
    let order = Order {
        redis: scene.world.redis().url().to_owned(),
        postgres: proxy.url().to_owned(),
        product: product.clone(),
    };
    let mut process = scene.world.process(&order)?;
    let said = process.expect("what it has read", SOON).await?;
    let Some((units, old)) = said.split_once(' ').filter(|_| !said.starts_with("error")) else {
        return Err(Evidence::new("the other process to read", said).into());
    };
    if units != scene.units.to_string() {
        return Err(Evidence::new(format!("{} units", scene.units), units).into());
    }
    process.stop()?;
    let stopped = scene.world.fault("the process is stopped (SIGSTOP), with its lease in hand");

    let late = scene.client::<S>("late", PATIENT).await?;
    let leases = RedisLease::open(scene.world.redis().url(), lease::Options::default())?;
    let lease = leases.acquire(&product, SOON).await;
    let lease = lease.map_err(|error| Finding::inconclusive(format!("the lease: {error}")))?;
    if old.parse::<u64>().is_ok_and(|old| old >= lease.token()) {
        return Err(Finding::inconclusive("the later lease has no higher token"));
    }
    let paper = Paper::of(lease.token());
    late.finds(&product, scene.units, &paper).await?;
    // Two, so that the stopped one's write would show.
    late.sets(&product, scene.units - 2, &paper).await?;
    // It is told to write while it cannot hear; it wakes in the middle of its turn.
    process.say("write").await;
    process.resume()?;
    drop(stopped);
    let call = scene.world.invoke("process", format!("write {}, token {old}", scene.units - 1));
    let answer = process.expect("an answer to its write", SOON).await?;
    match answer.as_str() {
        "done" => call.ok("done"),
        _ => call.fail(answer.clone()),
    };
    scene.has(&product, scene.units - 2, "as the later holder wrote it").await?;
    if answer == "done" {
        let evidence = Evidence::new("the write refused: another holds the lease", "done");
        return Err(evidence.at(scene.world.history().last("process", "= done")).into());
    }
    Ok(())
}
