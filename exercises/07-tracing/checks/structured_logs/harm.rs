//! Values that do harm.

use super::scene::{Scene, raise};
use grading::{Evidence, Finding, World};
use observability::structured_logs::{CUT, LONGEST, REDACTED, StructuredLogs, UNPRINTABLE};
use std::error::Error;
use std::fmt;

pub(super) async fn cut<D: StructuredLogs>(world: World) -> Result<(), Finding> {
    let scene = Scene::of::<D>(world)?;
    let fits = "x".repeat(LONGEST);
    let just = raise!(scene, info!(body = fits, "x"));
    just.is("/fields/body", fits.as_str())?;
    let expected = format!("{fits}{CUT}");
    let one_more = "x".repeat(LONGEST + 1);
    let text = raise!(scene, info!(body = one_more, "x"));
    cut_to(&text.text_at("/fields/body")?, &expected, text.step)?;
    let more = "x".repeat(100_000);
    let text = raise!(scene, info!(body = more, lines = 3, "x"));
    cut_to(&text.text_at("/fields/body")?, &expected, text.step)?;
    text.is("/fields/lines", 3)?;
    let message = raise!(scene, info!("{more}"));
    cut_to(&message.text_at("/message")?, &expected, message.step)?;
    // What an error tells is one text, sources and all.
    let error: &(dyn Error + 'static) =
        &Long("x".repeat(LONGEST - 3), Some(Box::new(Long("y".repeat(LONGEST), None))));
    let long = raise!(scene, error!(error, "x"));
    let told = format!("{}: y{CUT}", "x".repeat(LONGEST - 3));
    cut_to(&long.text_at("/fields/error")?, &told, long.step)?;
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
    // A secret at each place around the cut. All have a 4 in each of their parts, and nothing else has.
    let most = LONGEST + REDACTED.len() + CUT.len();
    let secrets = ["4111 1111 1111 1111", "4n4@ex4mple.org", "redis://:4u4t4r4@cache"];
    for secret in secrets {
        for before in LONGEST - secret.len() - 2..LONGEST {
            scene.world.history().turn_page();
            let more = "x".repeat(before) + " " + secret + &" and so on".repeat(50);
            let written = raise!(scene, info!(body = more, "x"));
            let body = written.text_at("/fields/body")?;
            let (part, end) = (body.contains('4'), body.ends_with(CUT));
            let saw = format!("…{}", &body[body.len().saturating_sub(30)..]);
            written.expected(!part, "no part of a secret at the cut", &saw)?;
            written.expected(end && body.len() <= most, "a text that is cut", &saw)?;
        }
    }
    Ok(())
}

/// An error with much to tell.
#[derive(Debug)]
struct Long(String, Option<Box<dyn Error>>);

impl fmt::Display for Long {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Long {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.1.as_deref()
    }
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

impl Error for Breaks {}

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
    let error: &(dyn Error + 'static) = &Breaks;
    let broken = raise!(scene, error!(error, after = 2, "failed"));
    broken.is("/fields/error", UNPRINTABLE)?;
    broken.is("/fields/after", 2)?;
    // It can be told itself, and its source cannot.
    let error: &(dyn Error + 'static) = &Long("failed".to_owned(), Some(Box::new(Breaks)));
    let broken = raise!(scene, error!(error, after = 2, "failed"));
    let told = broken.text_at("/fields/error")?;
    broken.expected(told.contains(UNPRINTABLE), UNPRINTABLE, &told)?;
    broken.is("/fields/after", 2)?;
    raise!(scene, info!("goes on")).is("/message", "goes on")
}
