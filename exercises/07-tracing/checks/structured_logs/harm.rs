//! Values and writers that do harm.

use super::scene::{Log, Scene, raise};
use grading::{Evidence, Finding, SOON, World};
use observability::structured_logs::{CUT, LONGEST, REDACTED, StructuredLogs, UNPRINTABLE};
use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

pub(super) async fn cut<D: StructuredLogs>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world)?;
    let fits = "x".repeat(LONGEST);
    let just = raise!(scene, info!(body = fits, "x"));
    just.is("/fields/body", fits.as_str())?;
    let more = "x".repeat(100_000);
    let expected = format!("{fits}{CUT}");
    let text = raise!(scene, info!(body = more, lines = 3, "x"));
    cut_to(&text.text_at("/fields/body")?, &expected, text.step)?;
    text.is("/fields/lines", 3)?;
    let message = raise!(scene, info!("{more}"));
    cut_to(&message.text_at("/message")?, &expected, message.step)?;
    let debug = raise!(scene, info!(body = ?more, "x"));
    let expected = format!("\"{}{CUT}", "x".repeat(LONGEST - 1));
    cut_to(&debug.text_at("/fields/body")?, &expected, debug.step)?;
    // Every place of a cut in characters of two, three and four bytes.
    for letter in ["é", "€", "🛒"] {
        for before in 0..letter.len() {
            scene.world.history().turn_page();
            let more = "x".repeat(before) + &letter.repeat(LONGEST);
            let written = raise!(scene, info!(body = more, "x"));
            let whole = (LONGEST - before) / letter.len();
            let expected = "x".repeat(before) + &letter.repeat(whole) + CUT;
            cut_to(&written.text_at("/fields/body")?, &expected, written.step)?;
        }
    }
    // A card at each place around the cut.
    let most = LONGEST + REDACTED.len() + CUT.len();
    for before in LONGEST - 21..LONGEST {
        scene.world.history().turn_page();
        let more = "x".repeat(before) + " 4111 1111 1111 1111" + &" and so on".repeat(50);
        let written = raise!(scene, info!(body = more, "x"));
        let body = written.text_at("/fields/body")?;
        let (part, end) = (body.contains('4'), body.ends_with(CUT));
        let saw = format!("…{}", &body[body.len().saturating_sub(30)..]);
        written.expected(!part, "no part of a card at the cut", &saw)?;
        written.expected(end && body.len() <= most, "a text that is cut", &saw)?;
    }
    Ok(())
}

fn cut_to(text: &str, expected: &str, step: grading::history::Step) -> Result<(), Finding> {
    if text == expected {
        return Ok(());
    }
    let told = |text: &str| {
        let mut last: Vec<char> = text.chars().rev().take(12).collect();
        last.reverse();
        format!("{} bytes that end in `{}`", text.len(), String::from_iter(last))
    };
    Err(Evidence::new(told(expected), told(text)).at(step).into())
}

/// Begins well.
struct Panics;

impl fmt::Debug for Panics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anna@exa")?;
        panic!("poisoned")
    }
}

/// Gives up.
struct Fails;

impl fmt::Display for Fails {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("half")?;
        Err(fmt::Error)
    }
}

/// An error that does not survive being told.
#[derive(Debug)]
struct Breaks;

impl fmt::Display for Breaks {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("poisoned")
    }
}

impl std::error::Error for Breaks {}

pub(super) async fn unprintable<D: StructuredLogs>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world)?;
    let panics = raise!(scene, info!(before = 1, state = ?Panics, after = 2, "x"));
    panics.is("/fields/state", UNPRINTABLE)?;
    panics.is("/fields/before", 1)?;
    panics.is("/fields/after", 2)?;
    panics.is("/message", "x")?;
    let fails = raise!(scene, info!(state = %Fails, after = 2, "x"));
    fails.is("/fields/state", UNPRINTABLE)?;
    fails.is("/fields/after", 2)?;
    let message = raise!(scene, info!(after = 2, "state: {:?}", Panics));
    message.is("/message", UNPRINTABLE)?;
    message.is("/fields/after", 2)?;
    let error: &(dyn std::error::Error + 'static) = &Breaks;
    let broken = raise!(scene, error!(error, after = 2, "failed"));
    broken.is("/fields/error", UNPRINTABLE)?;
    broken.is("/fields/after", 2)?;
    raise!(scene, info!("goes on")).is("/message", "goes on")
}

/// Waits inside of its first write, after what was written there has arrived.
#[derive(Clone)]
struct Waits {
    log: Log,
    hold: Hold,
}

/// Told once that it has come so far, and where it then waits until the other end is gone.
type Hold = Arc<Mutex<Option<(oneshot::Sender<()>, Receiver<()>)>>>;

fn hold() -> (Hold, oneshot::Receiver<()>, Sender<()>) {
    let ((come, came), (go, wait)) = (oneshot::channel(), channel());
    (Arc::new(Mutex::new(Some((come, wait)))), came, go)
}

impl Write for Waits {
    fn write(&mut self, written: &[u8]) -> io::Result<usize> {
        let taken = self.log.write(written)?;
        let first = self.hold.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((come, wait)) = first {
            let _ = come.send(());
            let _ = wait.recv();
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One line is held in the midst of being written, if it has a midst.
async fn held(
    scene: &Scene,
    log: &Log,
) -> Result<(tokio::task::JoinHandle<()>, Sender<()>), Finding> {
    let (hold, came, go) = hold();
    let (anna, to) = (scene.clone(), Waits { log: log.clone(), hold });
    scene.world.history().note("shop", "info!(\"anna's\") begins to be written");
    let writes = spawn_blocking(move || anna.raise_to(None, to, &mut || tracing::info!("anna's")));
    match tokio::time::timeout(SOON, came).await {
        Ok(Ok(())) => Ok((writes, go)),
        // It came to its end without writing: in a panic, or because it wants no line.
        Ok(Err(_)) => {
            writes.await?;
            Err(Evidence::new("a line", "nothing is written").into())
        }
        Err(_) => Err(Finding::inconclusive(format!("nothing is written in {SOON:?}"))),
    }
}

pub(super) async fn one_write<D: StructuredLogs>(world: World) -> Result<(), Finding> {
    let (scene, log) = (Scene::of::<D>(world)?, Log::default());
    let (anna, go) = held(&scene, &log).await?;
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
    let written = scene.read(&log);
    let lines: Vec<&str> = written.text.split_terminator('\n').collect();
    let are_whole =
        lines.iter().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok());
    let saw = format!("{} lines, which no longer are", lines.len());
    written.expected(are_whole && lines.len() == 2, "two lines, each a JSON object", &saw)
}

/// Takes a little at a time, is interrupted in between, and at last takes nothing any more.
#[derive(Clone)]
struct Small {
    log: Log,
    calls: Arc<Mutex<usize>>,
    most: usize,
}

impl Write for Small {
    fn write(&mut self, written: &[u8]) -> io::Result<usize> {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        *calls += 1;
        match (self.most, *calls) {
            (0, _) => Err(ErrorKind::BrokenPipe.into()),
            (_, 2) => Err(ErrorKind::Interrupted.into()),
            (most, _) => self.log.write(&written[..written.len().min(most)]),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.most == 0 { Err(ErrorKind::BrokenPipe.into()) } else { Ok(()) }
    }
}

pub(super) async fn broken_writer<D: StructuredLogs>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world)?;
    for most in [7, 1, 40] {
        let log = Log::default();
        scene.world.history().note("shop", format!("info!(…), {most} bytes at a time"));
        let to = Small { log: log.clone(), calls: Arc::default(), most };
        scene.raise_to(None, to, &mut || tracing::info!(lines = 3, "placed"));
        scene.read(&log).is("/fields/lines", 3)?;
    }
    scene.world.history().note("shop", "info!(…), to a pipe that nobody reads");
    let to = Small { log: Log::default(), calls: Arc::default(), most: 0 };
    scene.raise_to(None, to, &mut || tracing::info!(lines = 3, "placed"));
    // If it is still there: the next line has another writer.
    raise!(scene, info!("goes on")).is("/message", "goes on")
}

pub(super) async fn stuck<D: StructuredLogs>(world: World) -> Result<(), Finding> {
    let (scene, log) = (Scene::of::<D>(world)?, Log::default());
    let (anna, go) = held(&scene, &log).await?;
    let band = scene.world.fault("the reader of that line hangs");
    let step = scene.world.history().note("shop", "change(\"warn\")");
    let changes = Arc::clone(&scene.subject);
    let mut changing = spawn_blocking(move || changes.change("warn"));
    let Ok(changed) = tokio::time::timeout(SOON, &mut changing).await else {
        drop((go, band));
        anna.await?;
        let _ = changing.await;
        let saw = "it waits until somebody reads";
        return Err(Evidence::new("the level changed", saw).at(step).into());
    };
    changed?.map_err(|bad| Evidence::new("the level changed", bad.to_string()).at(step))?;
    raise!(scene, info!("ben's")).nothing("warnings are wanted")?;
    raise!(scene, warn!("ben's")).is("/message", "ben's")?;
    drop((go, band));
    Ok(anna.await?)
}
