//! Writers that do harm, and whoever is held up by them.

use super::scene::{Log, Scene, raise};
use grading::{Evidence, Finding, SOON, World};
use observability::structured_logs::{LONGEST, StructuredLogs};
use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_blocking};

/// Where somebody waits, once: they tell that they have come so far, and go on when the other end is
/// gone.
#[derive(Clone)]
struct Hold(Arc<Mutex<Option<Ends>>>);

/// One tells that somebody has come, at the other they wait.
type Ends = (oneshot::Sender<()>, Receiver<()>);

impl Hold {
    fn new() -> (Hold, oneshot::Receiver<()>, Sender<()>) {
        let ((come, came), (go, wait)) = (oneshot::channel(), channel());
        (Hold(Arc::new(Mutex::new(Some((come, wait))))), came, go)
    }

    fn wait(&self) {
        let first = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((come, wait)) = first {
            let _ = come.send(());
            let _ = wait.recv();
        }
    }
}

/// Waits inside of its first write, after what was written there has arrived.
#[derive(Clone)]
struct Waits {
    log: Log,
    hold: Hold,
}

impl Write for Waits {
    fn write(&mut self, written: &[u8]) -> io::Result<usize> {
        let taken = self.log.write(written)?;
        self.hold.wait();
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Waits while it prints itself.
struct Slow(Hold);

impl fmt::Debug for Slow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.wait();
        f.write_str("at last")
    }
}

/// A line that is held, and what lets it go.
type Held = (JoinHandle<()>, Sender<()>);

/// Anna's line is held in the midst of being written, if it has a midst.
async fn held(
    scene: &Scene,
    log: &Log,
    event: &str,
    mut raise: impl FnMut() + Send + 'static,
) -> Result<Held, Finding> {
    let (hold, came, go) = Hold::new();
    let (anna, to) = (scene.clone(), Waits { log: log.clone(), hold });
    scene.world.history().note("shop", format!("{event} begins to be written"));
    let writes = spawn_blocking(move || anna.raise_to(None, to, &mut raise));
    come_so_far(came, writes, go).await
}

async fn come_so_far(
    came: oneshot::Receiver<()>,
    writes: JoinHandle<()>,
    go: Sender<()>,
) -> Result<Held, Finding> {
    match tokio::time::timeout(SOON, came).await {
        Ok(Ok(())) => Ok((writes, go)),
        // It came to its end without that: in a panic, or because it wants no line.
        Ok(Err(_)) => {
            writes.await?;
            Err(Evidence::new("a line", "nothing is written").into())
        }
        Err(_) => Err(Finding::inconclusive(format!("nothing is written in {SOON:?}"))),
    }
}

pub(super) async fn one_write<D: StructuredLogs>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world)?;
    let log = Log::default();
    let short = held(&scene, &log, "info!(\"anna's\")", || tracing::info!("anna's")).await?;
    comes_between(&scene, &log, short).await?;
    scene.world.history().turn_page();
    // Longer than any buffer that somebody has put before the writer: an escaped letter takes six.
    let long = "\u{1b}".repeat(LONGEST);
    let log = Log::default();
    let raise = move || tracing::info!(first = long, second = long, third = long, "anna's");
    let long = held(&scene, &log, "info!(first = long, …, \"anna's\")", raise).await?;
    comes_between(&scene, &log, long).await
}

/// While Anna's line is held, Ben's is written.
async fn comes_between(scene: &Scene, log: &Log, (anna, go): Held) -> Result<(), Finding> {
    let (ben, to) = (scene.clone(), log.clone());
    scene.world.history().note("shop", "info!(\"ben's\") is written");
    let ben = spawn_blocking(move || ben.raise_to(None, to, &mut || tracing::info!("ben's")));
    match tokio::time::timeout(SOON, ben).await {
        Ok(ended) => ended?,
        // It waits for Anna's: then nothing comes between, and `stuck` is where that is judged.
        Err(_) => return Err(Finding::inconclusive("the second line waits for the first")),
    }
    drop(go);
    anna.await?;
    let written = scene.read(log);
    let lines: Vec<&str> = written.text.split_terminator('\n').collect();
    let are_whole =
        lines.iter().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok());
    let saw = format!("{} lines, which no longer are", lines.len());
    written.expected(are_whole && lines.len() == 2, "two lines, each a JSON object", &saw)
}

/// Takes as many bytes of each call as `takes` says, the first being 1.
#[derive(Clone)]
struct Odd {
    log: Log,
    calls: Arc<Mutex<usize>>,
    takes: fn(usize) -> io::Result<usize>,
}

impl Odd {
    fn new(takes: fn(usize) -> io::Result<usize>) -> Odd {
        Odd { log: Log::default(), calls: Arc::default(), takes }
    }

    fn calls(&self) -> usize {
        *self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Odd {
    fn write(&mut self, written: &[u8]) -> io::Result<usize> {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        *calls += 1;
        let most = (self.takes)(*calls)?;
        self.log.write(&written[..written.len().min(most)])
    }

    fn flush(&mut self) -> io::Result<()> {
        (self.takes)(self.calls()).map(drop)
    }
}

/// Who has asked so often, and was given nothing each time, asks for ever.
const FOR_EVER: usize = 1_000;

pub(super) async fn broken_writer<D: StructuredLogs>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world)?;
    let writes = |how: &str, takes| {
        scene.world.history().note("shop", format!("info!(lines = 3, \"placed\"), {how}"));
        let to = Odd::new(takes);
        scene.raise_to(None, to.clone(), &mut || tracing::info!(lines = 3, "placed"));
        to
    };
    let small: [fn(usize) -> io::Result<usize>; 3] = [
        |call| interrupted(call).map(|()| 7),
        |call| interrupted(call).map(|()| 1),
        |call| interrupted(call).map(|()| 40),
    ];
    for takes in small {
        let to = writes("a few bytes at a time", takes);
        scene.read(&to.log).is("/fields/lines", 3)?;
    }
    writes("to a pipe that nobody reads", |_| Err(ErrorKind::BrokenPipe.into()));
    // If it is still there: the next line has another writer.
    raise!(scene, info!("goes on")).is("/message", "goes on")?;

    scene.world.history().turn_page();
    let full = writes("to a writer that takes 20 bytes, and then none", |call| match call {
        1 => Ok(20),
        ..=FOR_EVER => Ok(0),
        _ => Err(ErrorKind::WriteZero.into()),
    });
    let (asked, written) = (full.calls(), scene.read(&full.log));
    let saw = "it asks a thousand times, and would go on";
    written.expected(asked < FOR_EVER, "a line that is lost, and no more", saw)?;

    scene.world.history().turn_page();
    let fails_once = writes("to a writer that takes 20 bytes, and fails once", |call| match call {
        1 => Ok(20),
        2 => Err(ErrorKind::StorageFull.into()),
        _ => Ok(usize::MAX),
    });
    let written = scene.read(&fails_once.log);
    // Whoever goes on where it failed has lost nothing, and that is as good.
    let is_whole = written.line().is_ok();
    let saw = "a part of it, and then it anew";
    written.expected(is_whole || written.text.len() <= 20, "a line that is lost, and no more", saw)
}

fn interrupted(call: usize) -> io::Result<()> {
    if call == 2 { Err(ErrorKind::Interrupted.into()) } else { Ok(()) }
}

pub(super) async fn stuck<D: StructuredLogs>(world: World) -> Result<(), Finding> {
    let (scene, log) = (Scene::of::<D>(world)?, Log::default());
    let anna = held(&scene, &log, "info!(\"anna's\")", || tracing::info!("anna's")).await?;
    changes_under(&scene, "the reader of that line hangs", anna).await
}

pub(super) async fn slow_value<D: StructuredLogs>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world)?;
    let (hold, came, go) = Hold::new();
    let (anna, slow) = (scene.clone(), Slow(hold));
    scene.world.history().note("shop", "info!(state = ?slow, \"anna's\") begins to be told");
    let tells = spawn_blocking(move || {
        anna.raise_to(None, Log::default(), &mut || tracing::info!(state = ?slow, "anna's"));
    });
    let anna = come_so_far(came, tells, go).await?;
    changes_under(&scene, "that value waits while it prints itself", anna).await
}

/// While Anna's line is held, the level changes, and others log by it.
async fn changes_under(scene: &Scene, fault: &str, (anna, go): Held) -> Result<(), Finding> {
    let band = scene.world.fault(fault);
    let step = scene.world.history().note("shop", "change(\"warn\")");
    let changes = Arc::clone(&scene.subject);
    let mut changing = spawn_blocking(move || changes.change("warn"));
    let Ok(changed) = tokio::time::timeout(SOON, &mut changing).await else {
        drop((go, band));
        anna.await?;
        let _ = changing.await;
        let saw = "it waits until that line is written";
        return Err(Evidence::new("the level changed", saw).at(step).into());
    };
    changed?.map_err(|bad| Evidence::new("the level changed", bad.to_string()).at(step))?;
    raise!(scene, info!("ben's")).nothing("warnings are wanted")?;
    raise!(scene, warn!("ben's")).is("/message", "ben's")?;
    drop((go, band));
    Ok(anna.await?)
}
