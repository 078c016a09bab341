//! Runs one check once, and always comes to an end.

use crate::check::Check;
use crate::history::History;
use crate::report::Ran;
use crate::verdict::{Evidence, Finding, Verdict};
use crate::world::World;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, Once, PoisonError, mpsc};
use std::time::{Duration, Instant};

/// Installing a server, or building the container client, has to fit.
const WORLD_LIMIT: Duration = Duration::from_secs(600);

/// Every check gets a runtime of its own on threads of its own name, so that a subject that
/// blocks its threads hangs nobody else, and a panic can be laid at its door.
pub(crate) fn run(check: &'static Check, role: String, seed: u64) -> Ran {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    catch_panics();
    let name = format!("check-{}", NEXT.fetch_add(1, Ordering::SeqCst));
    let began = Instant::now();
    let history = History::begin();
    let (tell, told) = mpsc::channel();
    let thread = std::thread::Builder::new().name(name.clone());
    let spawned = thread.spawn({
        let (name, history) = (name.clone(), history.clone());
        move || {
            let ended = run_in_runtime(check, role, seed, &name, &history, &tell);
            let _ = tell.send(Moment::Ended(ended));
        }
    });
    let result = match spawned {
        Err(error) => Err(Finding::inconclusive(format!("no thread for the check: {error}"))),
        Ok(_) => wait(check, &told),
    };
    // Where a thread is blocked, nobody has yet.
    history.end();
    Ran { seed, took: began.elapsed(), verdict: result.into(), history, panics: panics_of(&name) }
}

/// What a check's thread tells.
enum Moment {
    /// The world stands. From here on the time limit counts, and not before: on a machine that
    /// has only Docker, the first server takes a minute.
    Begun,
    Ended(Result<(), Finding>),
}

fn wait(check: &Check, told: &mpsc::Receiver<Moment>) -> Result<(), Finding> {
    // The runtime has its own limit; this one is for subjects that block its threads.
    let limit = check.limit + Duration::from_secs(1);
    match told.recv_timeout(WORLD_LIMIT) {
        Ok(Moment::Ended(early)) => early,
        Ok(Moment::Begun) => match told.recv_timeout(limit) {
            Ok(Moment::Ended(result)) => result,
            _ => Err(hang(check, "a thread was blocked; in async code, await")),
        },
        Err(_) => Err(Finding::inconclusive(format!("no server within {WORLD_LIMIT:?}"))),
    }
}

fn run_in_runtime(
    check: &'static Check,
    role: String,
    seed: u64,
    name: &str,
    history: &History,
    tell: &mpsc::Sender<Moment>,
) -> Result<(), Finding> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name(name)
        .enable_all()
        .build()
        .map_err(|error| Finding::inconclusive(format!("no runtime for the check: {error}")))?;
    let result = runtime.block_on(async {
        let world = World::begin(seed, role, history.clone()).await?;
        let _ = tell.send(Moment::Begun);
        let (work, told) = ((check.body)(world), history.clone());
        let body = tokio::spawn(async move {
            let result = work.await;
            told.end();
            result
        });
        let abort = body.abort_handle();
        let ended = tokio::time::timeout(check.limit, body).await;
        // After a panic or a hang the body has not.
        history.end();
        match ended {
            Ok(Ok(result)) => result,
            Ok(Err(stopped)) => Err(stopped.into()),
            Err(_) => {
                abort.abort();
                Err(hang(check, "a call into the code under test never came back"))
            }
        }
    });
    // Tasks that the subject left behind must not keep us: they die with their runtime.
    runtime.shutdown_timeout(Duration::from_millis(100));
    result
}

fn hang(check: &Check, why: &str) -> Finding {
    Evidence::new(format!("an answer within {:?}", check.limit), format!("none: {why}")).into()
}

pub(crate) fn panic_text(payload: &(dyn std::any::Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "of an unknown kind".to_owned())
}

/// `a/b/../c.rs` as `a/c.rs`: the learner's file is reached by a path upwards.
fn tidy(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match (part, parts.last()) {
            ("..", Some(last)) if *last != ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

static PANICS: LazyLock<Mutex<HashMap<String, Vec<String>>>> = LazyLock::new(Mutex::default);

/// Panics on a check's threads are kept for its report instead of being strewn over the output.
fn catch_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let thread = std::thread::current();
            match thread.name().filter(|name| name.starts_with("check-")) {
                Some(name) => {
                    let mut text = panic_text(info.payload());
                    if let Some(at) = info.location() {
                        text += &format!(" ({}:{})", tidy(at.file()), at.line());
                    }
                    let mut panics = PANICS.lock().unwrap_or_else(PoisonError::into_inner);
                    let of_check = panics.entry(name.to_owned()).or_default();
                    if !of_check.contains(&text) {
                        of_check.push(text);
                    }
                }
                None => before(info),
            }
        }));
    });
}

fn panics_of(name: &str) -> Vec<String> {
    let mut panics = PANICS.lock().unwrap_or_else(PoisonError::into_inner);
    panics.remove(name).unwrap_or_default()
}

impl Ran {
    pub(crate) fn is_valid(&self) -> bool {
        matches!(self.verdict, Verdict::Valid)
    }

    pub(crate) fn is_invalid(&self) -> bool {
        matches!(self.verdict, Verdict::Invalid(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(check: Check) -> Ran {
        run(Box::leak(Box::new(check)), String::new(), 7)
    }

    fn saw(ran: &Ran) -> String {
        match &ran.verdict {
            Verdict::Invalid(evidence) => evidence.saw.clone(),
            other => panic!("expected an invalid verdict, got {other:?}"),
        }
    }

    #[test]
    fn a_hang_is_a_failure_and_not_a_hang() {
        let hangs = Check::new("hangs", "it ends", async |_| std::future::pending().await);
        let began = Instant::now();
        let ran = ran(hangs.limit(Duration::from_millis(100)));
        assert!(saw(&ran).contains("never came back"), "{}", saw(&ran));
        assert!(began.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn blocking_every_thread_is_a_failure_too() {
        let blocks = Check::new("blocks", "it ends", async |_| {
            let block = || std::thread::sleep(Duration::from_secs(60));
            let _ = tokio::join!(tokio::spawn(async move { block() }), async move { block() });
            Ok(())
        });
        let ran = ran(blocks.limit(Duration::from_millis(100)));
        assert!(saw(&ran).contains("none:"), "{}", saw(&ran));
    }

    #[test]
    fn a_panic_is_a_failure_that_says_where() {
        let panics = Check::new("panics", "it answers", async |_| panic!("on purpose"));
        let ran = ran(panics);
        assert_eq!(saw(&ran), "a panic");
        assert_eq!(ran.panics.len(), 1);
        assert!(ran.panics[0].starts_with("on purpose (crates/grading/src/runner.rs:"));
    }

    #[test]
    fn what_proved_nothing_has_not_passed() {
        let unsure = async |_| Err(Finding::inconclusive("the fault never landed"));
        let ran = ran(Check::new("unsure", "it holds", unsure));
        assert!(!ran.is_valid() && !ran.is_invalid());
    }

    #[test]
    fn what_ends_with_its_world_is_no_part_of_the_story() {
        let leaves = Check::new("leaves", "it ends", async |world: World| {
            let (asks, asked) = tokio::sync::oneshot::channel();
            tokio::spawn(async move {
                let _call = world.invoke("caller", "asks");
                let _ = asks.send(());
                std::future::pending::<()>().await;
            });
            let _ = asked.await;
            Err(Evidence::new("an answer", "none").into())
        });
        let texts: Vec<_> = ran(leaves).history.events().into_iter().map(|e| e.text).collect();
        assert_eq!(texts, ["asks"]);
    }

    #[test]
    fn the_same_seed_draws_the_same_world() {
        let draw = |seed| {
            let (tell, told) = mpsc::channel();
            let check = Check::new("draws", "it draws", move |world: World| {
                let tell = tell.clone();
                async move {
                    let drawn: [u64; 4] = rand::RngExt::random(&mut world.random());
                    let _ = tell.send(drawn);
                    Ok(())
                }
            });
            run(Box::leak(Box::new(check)), String::new(), seed);
            told.recv().unwrap()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn a_path_that_goes_up_is_told_without_the_detour() {
        assert_eq!(tidy("exercises/01/tests/../../../desk/a.rs"), "desk/a.rs");
        assert_eq!(tidy("../a.rs"), "../a.rs");
    }
}
