//! What is forgotten, and when.

use super::scene::CONSUMER;
use super::*;
use messaging::idempotent_consumer::BATCH;
use std::time::Instant;

/// More than two sweeps' worth.
const OLD: u64 = 2 * BATCH as u64 + 3;
const YOUNG: u64 = 40;

pub(super) async fn old_rows_go<S: Inbox>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    // No round number of hours, so that it cannot be anybody's own.
    let keep = Options { keep: Duration::from_secs(90 * 60), ..PATIENT };
    let first = scene.client::<S>("first", keep).await?;
    let stem = scene.message().id;
    for (consumer, what, rows, age) in [
        (CONSUMER, "old", OLD, "91 minutes"),
        (CONSUMER, "young", YOUNG, "89 minutes"),
        ("stock", "old", 7, "2 days"),
    ] {
        let fill = format!(
            "INSERT INTO inbox (consumer, message, seen_at)
             SELECT '{consumer}', '{what}-{stem}-' || n, now() - interval '{age}'
             FROM generate_series(1, {rows}) n"
        );
        scene.ask(fill).await?;
    }
    let left = |consumer: &str| format!("SELECT count(*) FROM inbox WHERE consumer = '{consumer}'");
    let mut before = scene.count(left(CONSUMER)).await?;
    let sweeps = OLD / u64::from(BATCH) + 2;
    for _ in 0..sweeps * 2 {
        let sweeping = first.history.call(first.lane, "sweep", first.inbox.sweep());
        let swept = match tokio::time::timeout(A_WHILE, sweeping).await {
            Ok(Ok(swept)) => swept,
            Ok(Err(error)) => return Err(first.broken("a sweep", error.to_string())),
            Err(_) => return Err(first.broken("a sweep", format!("none within {A_WHILE:?}"))),
        };
        let others = scene.count(left("stock")).await?;
        if others != 7 {
            let saw = format!("{others} of 7 left");
            return Err(first.broken("the other consumer's left to it: it may keep longer", saw));
        }
        let after = scene.count(left(CONSUMER)).await?;
        if before - after != swept {
            let saw = format!("{swept} said, {} gone", before - after);
            return Err(first.broken("as many gone as are said", saw));
        }
        if swept > u64::from(BATCH) {
            return Err(first.broken(format!("at most {BATCH} at a time"), swept.to_string()));
        }
        before = after;
        if swept == 0 {
            break;
        }
    }
    if before != YOUNG {
        let expected = format!("{YOUNG} left: those seen less than 90 minutes ago");
        return Err(first.broken(expected, format!("{before} left")));
    }
    // It is the table that knows: what has gone is new, what has stayed is not.
    let young = Message::new(format!("young-{stem}-1"), "payment.received.v1", "");
    let old = Message::new(format!("old-{stem}-1"), "payment.received.v1", "");
    scene.is(&first, &old, Once::First).await?;
    match first.deliver(&young, Middle::Goes).await {
        Ok(Once::Seen) => Ok(()),
        Ok(Once::First) => Err(first.broken("Seen: it is still remembered", "First")),
        Err(error) => Err(first.broken("Seen", error.to_string())),
    }
}

pub(super) async fn forgotten_is_new<S: Inbox>(world: World) -> Result<(), Finding> {
    let scene = Scene::set(world).await?;
    let shortly = Options { keep: Duration::from_secs(1), ..PATIENT };
    let first = scene.client::<S>("first", shortly).await?;
    let message = scene.message();
    scene.is(&first, &message, Once::First).await?;
    let began = Instant::now();
    let swept = loop {
        let swept = first.history.call(first.lane, "sweep", first.inbox.sweep()).await;
        match swept {
            Ok(swept) if swept > 0 => break swept,
            Ok(_) if began.elapsed() > A_WHILE => {
                let expected = "gone: it was to be kept for a second";
                return Err(first.broken(expected, format!("still there after {A_WHILE:?}")));
            }
            Err(error) if began.elapsed() > A_WHILE => {
                return Err(first.broken("a sweep", error.to_string()));
            }
            _ => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    };
    if swept != 1 {
        return Err(first.broken("one gone: there was one", swept.to_string()));
    }
    // Whoever remembers it elsewhere, too, may do so for as long, and not for ever.
    let began = Instant::now();
    loop {
        match first.deliver(&message, Middle::Goes).await {
            Ok(Once::First) => break,
            Ok(Once::Seen) if began.elapsed() > A_WHILE => {
                return Err(first.broken("First: it was forgotten", "Seen"));
            }
            Err(error) if began.elapsed() > A_WHILE => {
                return Err(first.broken("First", error.to_string()));
            }
            _ => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
    scene.holds(first.consumer, &message, 2, "it was new again").await
}
