//! What is wanted, and how that changes.

use super::scene::{Scene, Written, raise};
use grading::{Evidence, Finding, World};
use observability::structured_logs::StructuredLogs;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::task::spawn_blocking;
use tracing::Level;

/// Counts how often somebody looks at it.
#[derive(Default)]
struct Seen(AtomicUsize);

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fetch_add(1, Ordering::SeqCst);
        f.write_str("seen")
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl std::error::Error for Seen {}

pub(super) async fn unwanted<D: StructuredLogs>(world: World) -> Result<(), Finding> {
    let scene = Scene::wanting::<D>(world, "info")?;
    let seen = Seen::default();
    let error: &(dyn std::error::Error + 'static) = &seen;
    let quiet = raise!(scene, debug!(debug = ?seen, display = %seen, error, "and {}", seen));
    quiet.nothing("debug is not wanted")?;
    let looked = seen.0.load(Ordering::SeqCst);
    let saw = format!("it looked at {looked} times");
    quiet.expected(looked == 0, "no value looked at", &saw)?;
    let wanted = raise!(scene, info!(debug = ?seen, "and {}", seen));
    wanted.is("/message", "and seen")?;
    wanted.is("/fields/debug", "seen")
}

impl Scene {
    fn event(&self, level: Level, target: &'static str) -> Written {
        let event = format!("{}!(target: \"{target}\", …)", level.as_str().to_ascii_lowercase());
        self.raise_as(Some((level, target)), &event, &mut || tracing::info!("x"))
    }

    /// Events of this target are written up to this level, and no others.
    fn writes_up_to(&self, target: &'static str, most: Option<Level>) -> Result<(), Finding> {
        for level in [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE] {
            let written = self.event(level, target);
            match most.is_some_and(|most| level <= most) {
                true => written.is("/target", target)?,
                false => written.nothing("it is not wanted")?,
            }
        }
        Ok(())
    }
}

pub(super) async fn most_specific<D: StructuredLogs>(world: World) -> Result<(), Finding> {
    let scene = Scene::wanting::<D>(world, "info")?;
    // In each order: what comes first or last decides nothing.
    let orders = [
        "warn,orders=debug,orders::saga=error,payments=off",
        "orders::saga=error,payments=off,orders=debug,warn",
        " payments=OFF , orders = Debug,WARN,orders::saga=error ",
        "orders=debug,warn,orders::saga=error,payments=off",
    ];
    for wanted in orders {
        let scene = scene.again(wanted)?;
        scene.writes_up_to("orders", Some(Level::DEBUG))?;
        scene.writes_up_to("orders::cart", Some(Level::DEBUG))?;
        scene.writes_up_to("orders::saga::steps", Some(Level::ERROR))?;
        scene.writes_up_to("payments::card", None)?;
        scene.writes_up_to("stock", Some(Level::WARN))?;
        scene.writes_up_to("orders_archive", Some(Level::WARN))?;
        scene.writes_up_to("orders-archive", Some(Level::WARN))?;
        scene.writes_up_to("my::orders", Some(Level::WARN))?;
    }
    let only = scene.again("orders=trace")?;
    only.writes_up_to("orders", Some(Level::TRACE))?;
    only.writes_up_to("payments", None)?;
    // A level may be in any case. A target is one that the program has.
    let capitals = scene.again("OFF,Shop::Till=info")?;
    capitals.writes_up_to("Shop::Till", Some(Level::INFO))
}

pub(super) async fn changed<D: StructuredLogs>(world: World) -> Result<(), Finding> {
    let scene = Scene::wanting::<D>(world, "warn")?;
    scene.writes_up_to("orders", Some(Level::WARN))?;
    // Another log, of the same process.
    let other = scene.again("info")?;
    scene.world.history().note("shop", "and still, in the log of \"warn\":");
    scene.writes_up_to("orders", Some(Level::WARN))?;
    for (wanted, orders, payments) in [
        ("warn,orders=debug", Some(Level::DEBUG), Some(Level::WARN)),
        ("off", None, None),
        ("payments=trace", None, Some(Level::TRACE)),
        ("error", Some(Level::ERROR), Some(Level::ERROR)),
    ] {
        let step = scene.world.history().note("shop", format!("change(\"{wanted}\")"));
        // By another thread than the one that logs.
        let by = scene.clone();
        let changed = spawn_blocking(move || by.subject.change(wanted)).await?;
        changed.map_err(|bad| {
            Evidence::new(format!("\"{wanted}\" to be wanted"), bad.to_string()).at(step)
        })?;
        scene.writes_up_to("orders", orders)?;
        scene.writes_up_to("payments", payments)?;
    }
    other.writes_up_to("orders", Some(Level::INFO))
}

pub(super) async fn bad_directive<D: StructuredLogs>(world: World) -> Result<(), Finding> {
    let scene = Scene::wanting::<D>(world, "warn,orders=info")?;
    for (wanted, piece) in [
        ("inof", "inof"),
        ("debug,orders=loud", "orders=loud"),
        ("orders", "orders"),
        ("trace,orders=", "orders="),
        ("=trace,debug", "=trace"),
        ("trace,,orders=trace", ""),
        ("", ""),
        ("orders=trace=debug", "orders=trace=debug"),
        ("5", "5"),
        ("warning", "warning"),
        ("warn, Orders = LOUD", "Orders = LOUD"),
        // Of several the first, whatever is wrong with it.
        ("inof,orders=loud", "inof"),
        ("orders=loud,=trace,inof", "orders=loud"),
        ("debug,trace,inof", "trace"),
        ("orders=debug,warn,orders=trace", "orders=trace"),
        ("debug,debug", "debug"),
        ("orders=debug, orders=trace", "orders=trace"),
        ("debug,trace", "trace"),
    ] {
        scene.world.history().turn_page();
        let named = format!("an error that names `{piece}`");
        let step = scene.world.history().note("shop", format!("new(\"{wanted}\")"));
        match scene.try_new(wanted) {
            Err(bad) if bad.piece.trim() == piece => {}
            Err(bad) => {
                let saw = format!("one that names `{}`", bad.piece);
                return Err(Evidence::new(named, saw).at(step).into());
            }
            Ok(_) => return Err(Evidence::new(named, "a log").at(step).into()),
        }
        let step = scene.world.history().note("shop", format!("change(\"{wanted}\")"));
        if scene.subject.change(wanted).map_err(|bad| bad.piece.trim() == piece) != Err(true) {
            return Err(Evidence::new(named, "no such error").at(step).into());
        }
        scene.writes_up_to("orders", Some(Level::INFO))?;
        scene.writes_up_to("payments", Some(Level::WARN))?;
    }
    Ok(())
}
