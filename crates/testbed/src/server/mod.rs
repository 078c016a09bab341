//! How a lesson comes by a server: by one chain, the same for every kind.
//!
//! 1. **url**: the address in an environment variable, `REDIS_URL` for Redis.
//! 2. **kept**: the one that `cargo lab up` keeps running.
//! 3. **binary**: the program on this machine, started privately: see [`supervised`]; or, where
//!    starting takes long, once for all programs that come: see [`kept::linger`].
//! 4. **container**: where a Docker engine answers: see [`container`].
//! 5. **install**: as root on a bare Debian, then as 3: see [`install`].
//!
//! The first step that can serve does. `TESTBED_ONLY=container` (or any other step's name)
//! rules out all others, which is how each step is tested on a machine that has several.
//!
//! # Adding a server
//!
//! A kind of server is one [`Recipe`] and the type that a lesson holds: see `redis/mod.rs`.
//! The recipe names the programs, the arguments, the line of the log that means "ready" and
//! the packages; nothing in this module has to change. List it in [`RECIPES`], and give
//! `testbed-containers` its image.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub mod account;
pub mod address;
pub mod container;
pub mod doctor;
pub mod install;
pub mod kept;
pub mod missing;
pub mod program;
pub mod supervised;

pub use account::Account;
pub use address::Address;
use container::Contained;
use install::Packages;
use missing::Missing;
use rustix::process::Signal;
use supervised::{Launch, Supervised, Trouble};

/// What the chain must know about a kind of server.
#[derive(Debug, Clone, Copy)]
pub struct Recipe {
    /// Its name in sentences: "Redis".
    pub name: &'static str,
    /// Its name in files and commands: "redis".
    pub id: &'static str,
    /// The environment variable that holds a URL.
    pub variable: &'static str,
    /// The programs that will do, the preferred one first.
    pub programs: &'static [&'static str],
    /// Folders that hold them and are on nobody's `PATH`, as package managers choose them. A
    /// `*` stands for a part of a name, a version as a rule; the highest is tried first.
    pub places: &'static [&'static str],
    /// Whether the program refuses to run as root. Then it runs as another: see [`account`].
    pub rootless: bool,
    /// Whether its room will hold a thousand files, and is better in memory.
    pub many_files: bool,
    /// Its well-known port.
    pub port: u16,
    /// Where a private one listens. A relative socket path is inside its room.
    pub private: fn() -> Address,
    /// The arguments that make the program listen there, keep nothing on disk, log to
    /// standard output and stay in the foreground.
    pub arguments: fn(&Address) -> Vec<String>,
    /// A script for `sh` that runs in the room, with the program and its arguments, and becomes
    /// that program: for one that wants more than arguments.
    pub prelude: Option<&'static str>,
    /// How far above its port a second one is that it listens on.
    pub second_port: Option<u16>,
    /// Whether one is shared by all programs and stays for a while after them.
    pub linger: Option<Linger>,
    /// Puts into the room what must be there before the program starts. Nothing, for most.
    pub furnish: fn(&Room) -> Result<(), String>,
    /// The signal that ends it at once, with the processes that it has started, and saves
    /// nothing. One that is alone and may be busy is best killed.
    pub farewell: Signal,
    /// Part of the log line that means that clients are welcome, in lower case.
    pub ready: &'static str,
    /// How long to wait for that line. Generous: it is met only when something is wrong.
    pub patience: Duration,
    /// Whether one on a port wants a password. Its port is open to every account of this
    /// machine, and this server lets whoever comes in run commands.
    pub password: bool,
    /// The URL of a server that listens there, with a password where it wants one.
    pub url: fn(&Address, Option<&str>) -> String,
    /// Talks to the server at a URL; the error says why it does not answer.
    pub greet: fn(&str) -> Result<Greeting, String>,
    /// What package managers call it.
    pub packages: Packages,
}

impl Recipe {
    /// What a person types: `cargo lab up postgres`. The first of [`RECIPES`] is the one that
    /// is meant where none is named, so it goes without its name.
    pub fn order(&self, verb: &str) -> String {
        match RECIPES.first() {
            Some(first) if first.id == self.id => format!("cargo lab {verb}"),
            _ => format!("cargo lab {verb} {}", self.id),
        }
    }
}

/// Of a server that takes so long to start that programs share one, which stays for a while
/// after the last of them.
#[derive(Debug, Clone, Copy)]
pub struct Linger {
    /// What to tell the person who waits for its start.
    pub notice: &'static str,
    /// Has the server at a URL stay until it is ended.
    pub keep: fn(&str) -> Result<(), String>,
}

/// Where a server is about to start.
#[derive(Debug, Clone, Copy)]
pub struct Room<'a> {
    /// The folder, empty as yet.
    pub path: &'a Path,
    /// The server's program.
    pub program: &'a Path,
    /// Whom the room and all in it must belong to, where that is not who we are.
    pub account: Option<&'a Account>,
    /// The password that the server shall want.
    pub password: Option<&'a str>,
}

/// What a server says of itself.
#[derive(Debug, Clone)]
pub struct Greeting {
    /// What it is: "Redis 7.0.15".
    pub version: String,
    /// Its process, where it tells.
    pub pid: Option<u32>,
}

/// Every kind of server that the test bed can provide.
pub const RECIPES: &[Recipe] =
    &[crate::redis::RECIPE, crate::postgres::RECIPE, crate::rabbitmq::RECIPE];

/// A step of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The address in an environment variable.
    Url,
    /// The server that `cargo lab up` keeps.
    Kept,
    /// The program on this machine.
    Binary,
    /// A container.
    Container,
    /// The program, after installing it.
    Install,
}

impl Step {
    /// The chain, in its order.
    pub const CHAIN: &[Self] =
        &[Self::Url, Self::Kept, Self::Binary, Self::Container, Self::Install];

    /// Its name in messages and in `TESTBED_ONLY`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Url => "url",
            Self::Kept => "kept",
            Self::Binary => "binary",
            Self::Container => "container",
            Self::Install => "install",
        }
    }

    /// Takes this step alone; `shared` where a server will do that others use too.
    fn take(self, recipe: &Recipe, shared: bool) -> Result<Provided, Refusal> {
        match self {
            Self::Url => from_url(recipe),
            Self::Kept => from_kept(recipe),
            Self::Binary => from_program(recipe, self, shared),
            Self::Container => from_container(recipe),
            Self::Install => from_installation(recipe, shared),
        }
    }

    /// The one step that `TESTBED_ONLY` allows, if it is set.
    fn only() -> Result<Option<Self>, String> {
        let Ok(only) = std::env::var("TESTBED_ONLY") else {
            return Ok(None);
        };
        match Self::CHAIN.iter().find(|step| step.name() == only) {
            Some(step) => Ok(Some(*step)),
            None => {
                let names: Vec<&str> = Self::CHAIN.iter().map(|step| step.name()).collect();
                Err(format!("set TESTBED_ONLY to one of {}, not `{only}`", names.join(", ")))
            }
        }
    }
}

/// A server that answers.
#[derive(Debug)]
pub struct Provided {
    /// The step that provided it.
    pub step: Step,
    /// Where clients connect to.
    pub url: String,
    /// One line for people: what it is and where it comes from.
    pub origin: String,
    /// What keeps it alive.
    pub holder: Holder,
}

/// What keeps a server alive.
#[derive(Debug)]
pub enum Holder {
    /// Somebody else; others may be using it.
    Others,
    /// This process.
    Process(Supervised),
    /// A container that goes with this process.
    Container(Contained),
}

impl Holder {
    /// The hand on the server, where it is ours.
    pub fn own(&self) -> Option<&(dyn Own + 'static)> {
        match self {
            Self::Others => None,
            Self::Process(process) => Some(process),
            Self::Container(container) => Some(container),
        }
    }
}

/// What may be done to a server that is ours. All of it blocks.
pub trait Own {
    /// Ends the server without giving it the time to save or to say anything, and waits for
    /// its end. Killing a dead one is fine.
    ///
    /// # Errors
    /// [`Trouble::Supervisor`] when nobody could be told to.
    fn kill(&self) -> Result<(), Trouble>;

    /// Starts the server again on its address, with the same arguments, and waits until it is
    /// ready; kills it first where it runs.
    ///
    /// # Errors
    /// [`Trouble`].
    fn restart(&self) -> Result<(), Trouble>;

    /// Freezes the server: connections stay open and nothing answers.
    ///
    /// # Errors
    /// [`Trouble`], when there is nothing to freeze.
    fn stop(&self) -> Result<(), Trouble>;

    /// Wakes a frozen server.
    ///
    /// # Errors
    /// [`Trouble`], when there is nothing to wake.
    fn resume(&self) -> Result<(), Trouble>;
}

/// Why a step provides nothing.
enum Refusal {
    /// There is nothing there: go on.
    Absent(String),
    /// It was asked for by name and does not work: stop, and say what to do.
    Broken(String, String),
}

impl Refusal {
    fn why(&self) -> &str {
        match self {
            Self::Absent(why) | Self::Broken(why, _) => why,
        }
    }
}

/// Walks the chain, leaving out the steps in `without`. Blocks.
///
/// # Errors
/// [`Missing`], when every step was refused, or a URL that is set does not answer.
pub fn provide(recipe: &Recipe, without: &[Step]) -> Result<Provided, Missing> {
    let missing = |tried, next: String| Missing { server: recipe.name, tried, next };
    let only = Step::only().map_err(|next| missing(Vec::new(), next))?;
    let may = |step: &Step| only.is_none_or(|only| only == *step) && !without.contains(step);
    // Whoever rules out the one that is kept wants none that others use.
    let shared = !without.contains(&Step::Kept);
    let mut tried = Vec::new();
    for step in Step::CHAIN.iter().copied().filter(may) {
        match step.take(recipe, shared) {
            Ok(provided) => return Ok(provided),
            Err(Refusal::Absent(why)) => tried.push((step, why)),
            Err(Refusal::Broken(why, next)) => {
                tried.push((step, why));
                return Err(missing(tried, next));
            }
        }
    }
    let next = match only {
        Some(only) => format!("unset TESTBED_ONLY, which allows the step `{}` alone", only.name()),
        None => recipe.order("setup"),
    };
    Err(missing(tried, next))
}

fn from_url(recipe: &Recipe) -> Result<Provided, Refusal> {
    let variable = recipe.variable;
    let url = std::env::var(variable).ok().filter(|url| !url.is_empty());
    let url = url.ok_or_else(|| Refusal::Absent(format!("{variable} is not set")))?;
    // Whoever sets the variable wants that server and no other: no silent second best.
    let Greeting { version, .. } = (recipe.greet)(&url).map_err(|why| {
        Refusal::Broken(
            format!("{variable} is set, but: {why}"),
            format!("correct {variable} or start its server, or `unset {variable}` to use another"),
        )
    })?;
    let origin = format!("{version} · shared, from {variable}");
    Ok(Provided { step: Step::Url, url, origin, holder: Holder::Others })
}

fn from_kept(recipe: &Recipe) -> Result<Provided, Refusal> {
    let kept = kept::alive(recipe).ok_or_else(|| {
        Refusal::Absent(format!("none is up (`{}` keeps one)", recipe.order("up")))
    })?;
    let version = kept.version;
    let kept::Record { url, pid, lingers, .. } = kept.record;
    let by = if lingers { "shared by this clone's programs" } else { "kept by `cargo lab up`" };
    let origin = format!("{version} · {by} · process {pid}");
    Ok(Provided { step: Step::Kept, url, origin, holder: Holder::Others })
}

/// By the program on this machine: one that lingers where that will do, else one of our own.
fn from_program(recipe: &Recipe, step: Step, shared: bool) -> Result<Provided, Refusal> {
    if !shared || recipe.linger.is_none() || program::of(recipe).is_none() {
        return from_binary(recipe, step);
    }
    let kept::Kept { record, version, .. } =
        kept::linger(recipe).map_err(|error| Refusal::Absent(error.to_string()))?;
    let pid = record.pid;
    let origin = format!("{version} · shared by this clone's programs · process {pid}");
    Ok(Provided { step, url: record.url, origin, holder: Holder::Others })
}

fn from_binary(recipe: &Recipe, step: Step) -> Result<Provided, Refusal> {
    let program = program::of(recipe).ok_or_else(|| {
        Refusal::Absent(format!("no {} on this machine", recipe.programs.join(" or ")))
    })?;
    let address = (recipe.private)();
    // A binary for another system, or a broken one: a container may still do.
    let absent = |why: String| Refusal::Absent(why);
    let account = Account::of(recipe).map_err(absent)?;
    let on_a_port = matches!(address, Address::Tcp(..));
    let password = (recipe.password && on_a_port).then(secret);
    let room = |path: &Path| {
        let (program, account) = (program.as_path(), account.as_ref());
        (recipe.furnish)(&Room { path, program, account, password: password.as_deref() })
    };
    let server = Supervised::start(&Launch {
        program: &program,
        prelude: recipe.prelude,
        arguments: &(recipe.arguments)(&address),
        account: account.as_ref(),
        many_files: recipe.many_files,
        furnish: &room,
        farewell: recipe.farewell,
        ready: Some(recipe.ready),
        patience: recipe.patience,
    })
    .map_err(|trouble| absent(trouble.to_string()))?;
    let address = match address {
        Address::Unix(socket) => Address::Unix(server.room().join(socket)),
        tcp @ Address::Tcp(..) => tcp,
    };
    let url = (recipe.url)(&address, password.as_deref());
    let Greeting { version, .. } = (recipe.greet)(&url).map_err(absent)?;
    let listens = match &address {
        Address::Unix(_) => "unix socket".into(),
        Address::Tcp(_, port) => format!("port {port}"),
    };
    let origin = format!("{version} · private, {} · {listens}", program.display());
    Ok(Provided { step, url, origin, holder: Holder::Process(server) })
}

fn from_container(recipe: &Recipe) -> Result<Provided, Refusal> {
    let engine = container::engine().map_err(Refusal::Absent)?;
    let container = container::start(recipe, &engine).map_err(Refusal::Absent)?;
    let url = container.url().to_owned();
    let Greeting { version, .. } = (recipe.greet)(&url).map_err(Refusal::Absent)?;
    let origin = format!("{version} · private, in a container");
    Ok(Provided { step: Step::Container, url, origin, holder: Holder::Container(container) })
}

fn from_installation(recipe: &Recipe, shared: bool) -> Result<Provided, Refusal> {
    if !install::unasked() {
        return Err(Refusal::Absent("unasked only as root where apt-get is".into()));
    }
    install::install(recipe).map_err(Refusal::Absent)?;
    from_program(recipe, Step::Install, shared)
}

/// A password that nobody guesses.
fn secret() -> String {
    format!("{:016x}", rand::random::<u64>())
}

/// The workspace in which this was built.
pub fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// Where records, logs and locks lie: `.lab` in the workspace, or where `TESTBED_STATE` says,
/// so that a test of the test bed leaves the learner's servers alone.
pub fn state() -> PathBuf {
    std::env::var_os("TESTBED_STATE").map_or_else(|| workspace().join(".lab"), PathBuf::from)
}

/// One line to the person who waits, written straight to standard error: what `eprintln!`
/// prints, a test harness swallows.
fn tell(line: &str) {
    let _ = writeln!(io::stderr(), "testbed: {line}");
}
