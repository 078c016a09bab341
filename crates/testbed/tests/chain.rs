//! The chain, with a kind of server that is made up on the spot: what a recipe must bring,
//! and what is said when no step serves.

#![allow(clippy::unwrap_used)] // A test may stop at the first surprise, helpers included.

use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use testbed::server::install::Packages;
use testbed::server::{self, Address, Greeting, Holder, Recipe, Step};

/// A server in one line of shell: it is ready when a file is there, and greets by it.
const ECHO: Recipe = Recipe {
    name: "Echo",
    id: "echo",
    variable: "TESTBED_TEST_ECHO_URL",
    programs: &["no-such-echo-server", "sh"],
    places: &[],
    rootless: false,
    many_files: false,
    port: 7,
    private: || Address::Unix("echo.sock".into()),
    arguments: |address| {
        let script = format!("echo Echo 1.0 >{address}; echo Now Listening; exec sleep 60");
        vec!["-c".into(), script]
    },
    prelude: None,
    second_port: None,
    linger: None,
    furnish: |_| Ok(()),
    farewell: Signal::KILL,
    ready: "now listening",
    patience: Duration::from_secs(10),
    password: false,
    url: |address, _| format!("echo:{address}"),
    greet: |url| {
        let path = url.strip_prefix("echo:").unwrap();
        let version = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
        Ok(Greeting { version: version.trim().into(), pid: None })
    },
    packages: Packages { apt: "echo", apt_file: None, dnf: &["echo"], brew: "echo", wheel: None },
};

/// What a person without root meets, on a machine without Docker.
const WITHOUT: &[Step] = &[Step::Container, Step::Install];

#[test]
fn a_new_kind_of_server_is_a_recipe() {
    let echo = server::provide(&ECHO, WITHOUT).unwrap();
    assert_eq!(echo.step, Step::Binary);
    assert!(echo.origin.starts_with("Echo 1.0 · private, "), "{}", echo.origin);
    assert!(echo.origin.ends_with("/sh · unix socket"), "{}", echo.origin);
    let Holder::Process(process) = &echo.holder else { panic!("{:?}", echo.holder) };
    assert_eq!(echo.url, format!("echo:{}/echo.sock", process.room().display()));
}

#[test]
fn a_program_that_greets_nobody_is_not_provided() {
    let mute = Recipe { greet: |_| Err("no answer".into()), ..ECHO };
    let missing = server::provide(&mute, WITHOUT).unwrap_err();
    assert_eq!(missing.tried.last().unwrap(), &(Step::Binary, "no answer".into()));
}

#[test]
fn what_is_missing_is_told_step_by_step_with_one_command_at_the_end() {
    let nowhere = Recipe { programs: &["no-such-echo-server"], ..ECHO };
    let missing = server::provide(&nowhere, WITHOUT).unwrap_err();
    assert_eq!(
        missing.to_string(),
        "no Echo to work with\n  \
           url        TESTBED_TEST_ECHO_URL is not set\n  \
           kept       none is up (`cargo lab up echo` keeps one)\n  \
           binary     no no-such-echo-server on this machine\n\
         next: cargo lab setup echo"
    );
}

#[test]
fn a_program_that_dies_is_told_with_its_last_words() {
    let broken =
        Recipe { arguments: |_| vec!["-c".into(), "echo bad option; exit 1".into()], ..ECHO };
    let missing = server::provide(&broken, WITHOUT).unwrap_err();
    let said = missing.to_string();
    assert!(said.contains("ended: bad option\n             exit status 1\n"), "{said}");
}

#[test]
fn programs_are_found_by_rank_before_place() {
    let found = server::program::find(&["sh", "ls"]).unwrap();
    assert_eq!(found.file_name(), Path::new("sh").file_name());
    assert!(found.is_absolute());
    assert_eq!(server::program::find(&["no-such-echo-server"]), None);
}
