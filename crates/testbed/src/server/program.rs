//! Finding a server's program on this machine.

use std::env;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::Recipe;

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

/// The program of a recipe: as [`find`] has it, then in the recipe's own places.
pub fn of(recipe: &Recipe) -> Option<PathBuf> {
    find(recipe.programs).or_else(|| {
        let folders: Vec<PathBuf> =
            recipe.places.iter().flat_map(|place| matching(place)).collect();
        recipe.programs.iter().find_map(|name| {
            folders.iter().map(|folder| folder.join(name)).find(|program| executable(program))
        })
    })
}

/// The folders that a pattern names, the highest version first: 17 before 9.6, and before 16.
fn matching(pattern: &str) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from("/")];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        let Some((before, after)) = part.split_once('*') else {
            found.iter_mut().for_each(|folder| folder.push(part));
            continue;
        };
        let names = |folder: &PathBuf| folder.read_dir().into_iter().flatten().flatten();
        let fits = |name: &str| name.strip_prefix(before)?.strip_suffix(after).map(version);
        let mut fitting: Vec<_> = found
            .iter()
            .flat_map(names)
            .filter_map(|entry| Some((fits(entry.file_name().to_str()?)?, entry.path())))
            .collect();
        fitting.sort_by(|one, other| other.cmp(one));
        found = fitting.into_iter().map(|(_, folder)| folder).collect();
    }
    found
}

/// The numbers in a name, which compare as versions do.
fn version(name: &str) -> Vec<u64> {
    name.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_tried_from_the_highest_down() {
        let root = tempfile::tempdir().unwrap();
        for name in ["db@9.6", "db@17", "db@16.2", "db@", "other"] {
            std::fs::create_dir_all(root.path().join(name).join("bin")).unwrap();
        }
        let pattern = format!("{}/db@*/bin", root.path().display());
        let expected = ["db@17", "db@16.2", "db@9.6", "db@"];
        let expected = expected.map(|name| root.path().join(name).join("bin"));
        assert_eq!(matching(&pattern), expected);
    }
}
