//! Finding a server's program on this machine.

use std::env;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Where package managers put servers that a shell started by an editor or a desktop may not
/// have on its `PATH`.
const USUAL: &[&str] = &[
    "/usr/local/bin",
    "/usr/bin",
    "/usr/sbin",
    "/opt/homebrew/bin",
    "/home/linuxbrew/.linuxbrew/bin",
    "/opt/local/bin",
];

/// The first of `names` that is an executable file: on `PATH`, then in the usual places, then
/// where `cargo lab setup` puts what it installs without root.
pub fn find(names: &[&str]) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let places: Vec<PathBuf> =
        env::split_paths(&path).chain(USUAL.iter().map(PathBuf::from)).chain(own()).collect();
    // A name of higher rank anywhere goes before one of lower rank.
    names.iter().find_map(|name| {
        places.iter().map(|place| place.join(name)).find(|program| executable(program))
    })
}

/// Where `cargo lab setup` installs: the user's cache, which every clone shares, else this
/// workspace's `.lab/bin`. Both are searched.
pub fn own() -> impl Iterator<Item = PathBuf> {
    cache().into_iter().chain([super::state().join("bin")])
}

fn cache() -> Option<PathBuf> {
    let set = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || set("HOME").filter(|home| home.is_dir());
    let cache = if cfg!(target_os = "macos") {
        home()?.join("Library/Caches")
    } else {
        set("XDG_CACHE_HOME").or_else(|| Some(home()?.join(".cache")))?
    };
    Some(cache.join("distributed-systems-sandbox/bin"))
}

fn executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}
