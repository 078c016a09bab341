//! Lays each starter on the learner's desk, unless something of that name lies there already. The
//! build script of every exercise package here.
//!
//! `desk/` is the learner's: git ignores it, and nothing here ever overwrites it. So `cargo test
//! --test cache_aside` works in a fresh clone, and `git pull` has nothing to merge.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::Path;

fn main() {
    // Cargo runs it in the package's folder, whose name is the topic's.
    let topic = std::env::current_dir().ok();
    let topic = topic.as_deref().and_then(Path::file_name).expect("a package lies in a folder");
    let desk = Path::new("../../desk").join(topic);
    println!("cargo::rerun-if-changed=starters");
    println!("cargo::rerun-if-changed={}", desk.display());
    if let Err(error) = lay_out(&desk) {
        let desk = desk.display();
        println!("cargo::error=cannot lay the starters on {desk}: {error}; next: cargo lab doctor");
    }
}

fn lay_out(desk: &Path) -> io::Result<()> {
    fs::create_dir_all(desk)?;
    for starter in fs::read_dir("starters")? {
        let starter = starter?;
        let mine = desk.join(starter.file_name());
        // An empty file holds nothing of the learner's; an older version left one on a full disk.
        let there = fs::metadata(&mine).is_ok_and(|file| file.len() > 0);
        if !there {
            lay(&starter.path(), &mine)?;
        }
    }
    Ok(())
}

/// All of the starter or nothing, also when the disk is full or the power fails, and never in the
/// place of a file that came in the meantime: linking a name fails where it exists.
fn lay(starter: &Path, mine: &Path) -> io::Result<()> {
    let unfinished = mine.with_extension("rs.unfinished");
    let laid = write(&fs::read(starter)?, &unfinished).and_then(|()| {
        if fs::metadata(mine).is_ok_and(|file| file.len() == 0) {
            fs::remove_file(mine)?;
        }
        match fs::hard_link(&unfinished, mine) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            // A file system without links; nobody else writes here while cargo builds.
            Err(_) => fs::rename(&unfinished, mine),
            linked => linked,
        }
    });
    let _ = fs::remove_file(&unfinished);
    laid
}

fn write(bytes: &[u8], file: &Path) -> io::Result<()> {
    let mut file = File::create(file)?;
    file.write_all(bytes)?;
    file.sync_all()
}
