//! The servers' small command, which `cargo lab` runs: `up`, `down`, `doctor`, `setup`.
//!
//! It is separate so that the lab itself links no client of any server.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use testbed::server::install::Method;
use testbed::server::{RECIPES, Recipe, Step, container, doctor, kept, program};

const USAGE: &str = "\
usage: testbed <command> [server …]

  up [--port N]                  keep a server running, for you to look into
  down                           end it; without a name all that are kept
  doctor                         what a lesson would find on this machine
  setup [--print] [--method M]   install one (apt, dnf, brew, wheel)

The servers are redis, which is meant where none is named, and postgres.
Exit status: 0 done, 1 not done, 2 not understood.";

/// What fits a terminal.
const WIDTH: usize = 80;

fn main() -> ExitCode {
    let order = match Order::read(std::env::args().skip(1)) {
        Ok(order) => order,
        Err(error) => {
            eprintln!("{error:#}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match order.run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Debug, Default)]
struct Order {
    command: String,
    servers: Vec<&'static Recipe>,
    port: Option<u16>,
    print: bool,
    method: Option<Method>,
}

impl Order {
    fn read(mut words: impl Iterator<Item = String>) -> Result<Self> {
        let mut order = Self { command: words.next().context("no command")?, ..Self::default() };
        while let Some(word) = words.next() {
            match word.as_str() {
                "--port" => {
                    let port = words.next().context("--port needs a number")?;
                    let port = port.parse().ok().filter(|port| *port > 0);
                    order.port = Some(port.context("--port needs a number from 1 to 65535")?);
                }
                "--print" => order.print = true,
                "--method" => {
                    let name = words.next().context("--method needs a name")?;
                    let method = Method::ALL.iter().find(|method| method.name() == name);
                    order.method = Some(*method.with_context(|| format!("no method `{name}`"))?);
                }
                id => {
                    let recipe = RECIPES.iter().find(|recipe| recipe.id == id);
                    order.servers.push(recipe.with_context(|| format!("no server `{id}`"))?);
                }
            }
        }
        let given = [
            ("--port", order.port.is_some(), "up"),
            ("--print", order.print, "setup"),
            ("--method", order.method.is_some(), "setup"),
        ];
        for (option, given, command) in given {
            if given && order.command != command {
                bail!("{option} belongs to `{command}`");
            }
        }
        if !["up", "down", "doctor", "setup"].contains(&order.command.as_str()) {
            bail!("no command `{}`", order.command);
        }
        Ok(order)
    }

    /// Whether all went well.
    fn run(&self) -> Result<bool> {
        // The first is what most lessons need.
        let first = &RECIPES[..1];
        let servers = match (self.servers.is_empty(), self.command.as_str()) {
            (false, _) => self.servers.clone(),
            (true, "down") => return down_all(),
            (true, "doctor") => return Ok(examine_all()),
            (true, _) => first.iter().collect::<Vec<_>>(),
        };
        let mut well = true;
        for recipe in servers {
            well &= match self.command.as_str() {
                "up" => up(recipe, self.port)?,
                "down" => down(recipe)?,
                "doctor" => examine(recipe, true),
                _ => setup(recipe, self.method, self.print)?,
            };
        }
        Ok(well)
    }
}

fn up(recipe: &Recipe, port: Option<u16>) -> Result<bool> {
    let kept = kept::up(recipe, port)?;
    if let Some(evaded) = &kept.evaded {
        println!("{evaded}; taking the next free one");
    }
    let (version, kept::Record { url, pid, .. }) = (&kept.version, &kept.record);
    let state = if kept.already { "was up already" } else { "is up" };
    let line = format!("{version} {state} at {url} · process {pid}");
    match line.chars().count() > WIDTH {
        true => println!("{version} {state} · process {pid}\n{url}"),
        false => println!("{line}"),
    }
    println!("next: {} ends it", recipe.order("down"));
    Ok(true)
}

fn down(recipe: &Recipe) -> Result<bool> {
    match kept::down(recipe)? {
        Some(record) => println!("{} is down · it was at {}", recipe.name, record.place()),
        None => println!("{} was not up", recipe.name),
    }
    Ok(true)
}

/// Every server that is kept, also after one that could not be ended.
fn down_all() -> Result<bool> {
    let (mut were_up, mut well) = (false, true);
    for recipe in RECIPES {
        match kept::down(recipe) {
            Ok(Some(record)) => {
                were_up = true;
                println!("{} is down · it was at {}", recipe.name, record.place());
            }
            Ok(None) => {}
            Err(error) => {
                well = false;
                eprintln!("{error}");
            }
        }
    }
    if well && !were_up {
        println!("no server was up");
    }
    Ok(well)
}

/// All of them are looked at; that the first is to be had is what matters to most lessons.
fn examine_all() -> bool {
    let mut first = None;
    for recipe in RECIPES {
        let well = examine(recipe, first.is_none());
        first.get_or_insert(well);
    }
    first.unwrap_or(true)
}

/// Whether lessons could work with it. Where they could not, says what to do: at once, or when
/// a lesson wants it.
fn examine(recipe: &Recipe, needed: bool) -> bool {
    let findings = doctor::examine(recipe);
    println!("{}", recipe.name);
    for finding in &findings {
        let mark = if finding.usable { "yes" } else { "no" };
        let mut lines = wrapped(&finding.text, WIDTH - 18).into_iter();
        let first = lines.next().unwrap_or_default();
        println!("  {:<10} {mark:<4} {first}", finding.step.name());
        for line in lines {
            println!("{:18}{line}", "");
        }
    }
    // A URL that is set and does not answer stops the chain: no other server is meant.
    let broken = findings.iter().find(|finding| {
        let set = std::env::var_os(recipe.variable).is_some_and(|url| !url.is_empty());
        finding.step == Step::Url && set && !finding.usable
    });
    match (broken, findings.iter().find(|finding| finding.usable)) {
        (Some(_), _) => {
            println!("next: correct {0} or start its server, or unset {0}", recipe.variable);
        }
        (None, Some(first)) => {
            println!("lessons use: {}", first.step.name());
            return true;
        }
        (None, None) if needed => println!("next: {}", recipe.order("setup")),
        (None, None) => println!("for lessons that need it: {}", recipe.order("setup")),
    }
    false
}

/// Breaks a line at its blanks where it would be wider than `width`.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.into()),
        }
    }
    lines
}

fn setup(recipe: &Recipe, method: Option<Method>, print: bool) -> Result<bool> {
    let found = program::of(recipe);
    if let (Some(program), None, false) = (&found, method, print) {
        println!("{} is here already: {}", recipe.name, program.display());
        println!("next: {}", recipe.order("doctor"));
        return Ok(true);
    }
    let plan = method.or_else(|| Method::choose(recipe)).and_then(|method| method.plan(recipe));
    let Some(plan) = plan else {
        return contain(recipe, print);
    };
    println!("installs {}:", plan.summary);
    println!("{}", plan.command());
    if print {
        return Ok(true);
    }
    plan.run(false).map_err(anyhow::Error::msg).context("setup failed")?;
    let program =
        program::of(recipe).with_context(|| format!("{} is still not to be found", recipe.name))?;
    println!("{} is installed: {}", recipe.name, program.display());
    println!("next: {}", recipe.order("doctor"));
    Ok(true)
}

/// Where nothing can be installed, a Docker engine will do: its client is built and the image
/// fetched now, so that no lesson has to wait for them.
fn contain(recipe: &Recipe, print: bool) -> Result<bool> {
    let name = recipe.name;
    let Ok(engine) = container::engine() else {
        bail!(
            "no way to install {name} is known here: no apt-get or dnf with root or sudo, no\n\
             brew{}; and no Docker engine answers\n\
             next: install {name} by hand and run {doctor}, or start Docker",
            recipe.packages.wheel.map_or("", |_| ", no python3 with pip"),
            doctor = recipe.order("doctor")
        );
    };
    println!("{name} runs in containers here: {engine}");
    println!("builds the container client, fetches the image and tries them once");
    if !print {
        let tried = container::start(recipe, &engine).map_err(anyhow::Error::msg);
        drop(tried.context("no container could be started")?);
        println!("next: {}", recipe.order("doctor"));
    }
    Ok(true)
}
