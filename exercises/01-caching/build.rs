//! Lays each starter on the learner's desk, unless something of that name lies there already.
//!
//! `desk/` is the learner's: git ignores it, and nothing here ever overwrites it. So `cargo test
//! --test cache_aside` works in a fresh clone, and `git pull` has nothing to merge.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::Path;

const DESK: &str = "../../desk/01-caching";

fn main() {
    println!("cargo::rerun-if-changed=starters");
    println!("cargo::rerun-if-changed={DESK}");
    if let Err(error) = lay_out() {
        println!("cargo::error=cannot lay the starters on {DESK}: {error}; next: cargo lab doctor");
    }
}

fn lay_out() -> std::io::Result<()> {
    fs::create_dir_all(DESK)?;
    for starter in fs::read_dir("starters")? {
        let starter = starter?;
        let mine = Path::new(DESK).join(starter.file_name());
        match OpenOptions::new().write(true).create_new(true).open(&mine) {
            Ok(mut file) => file.write_all(&fs::read(starter.path())?)?,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
