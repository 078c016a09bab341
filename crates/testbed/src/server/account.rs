//! As whom a server runs that refuses to run as root.
//!
//! PostgreSQL does, since whoever owns its superuser could run commands as root. In a
//! container and in CI one often is root; there the supervisor, the server and its room
//! belong to an ordinary account of the system, and we remain who we are.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::Recipe;

/// The accounts that will do, the preferred one first: the one that PostgreSQL's packages
/// make, and the one that every Linux has.
const NAMES: [&str; 2] = ["postgres", "nobody"];

/// An account of this system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The number of the user.
    pub uid: u32,
    /// The number of the user's first group.
    pub gid: u32,
}

impl Account {
    /// As whom to run a recipe's program; `None` where that is who we are.
    ///
    /// # Errors
    /// What to tell the user where we are root and no other account is known.
    pub fn of(recipe: &Recipe) -> Result<Option<Self>, String> {
        if !recipe.rootless || !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let known = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let found = NAMES.iter().find_map(|name| Self::named(name, &known));
        found.map(Some).ok_or_else(|| {
            format!("{} does not run as root, and there is no `nobody` here", recipe.name)
        })
    }

    /// An account by its line in passwd(5): `nobody:x:65534:65534:…`.
    fn named(name: &str, known: &str) -> Option<Self> {
        let fields = known.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let found = fields.into_iter().find(|fields| fields.first() == Some(&name))?;
        Some(Self { uid: found.get(2)?.parse().ok()?, gid: found.get(3)?.parse().ok()? })
    }
}

/// Whether everybody may come to a folder.
pub(super) fn open_to_all(folder: &Path) -> bool {
    folder.ancestors().all(|above| grants(above, 0o001))
}

/// Whether everybody may make something in a folder to which they may come.
pub(super) fn writable_by_all(folder: &Path) -> bool {
    grants(folder, 0o003)
}

fn grants(folder: &Path, bits: u32) -> bool {
    folder.metadata().is_ok_and(|found| found.permissions().mode() & bits == bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_read_from_its_line() {
        let known = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65533::/:\nodd:*:-2:-2::/:\n";
        assert_eq!(Account::named("nobody", known), Some(Account { uid: 65534, gid: 65533 }));
        assert_eq!(Account::named("odd", known), None);
        assert_eq!(Account::named("no", known), None);
    }
}
