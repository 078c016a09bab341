//! Short content hashes: has this file changed since it was graded?

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::workspace::{Located, Workspace};

/// Eight hexadecimal digits of FNV-1a (64 bits, folded). It guards against mistakes and not against
/// an attacker, so it need not be cryptographic; it must only be the same on every machine and in
/// every release, which rules out std's hasher.
/// <http://www.isthe.com/chongo/tech/comp/fnv/>
pub(crate) fn of_bytes(bytes: &[u8]) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    // A checkout with CRLF line ends holds the same text.
    for byte in bytes.iter().filter(|byte| **byte != b'\r') {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    format!("{:08x}", (hash >> 32) ^ (hash & 0xffff_ffff))
}

/// `None` when the file cannot be read.
pub(crate) fn of_file(path: &Path) -> Option<String> {
    fs::read(path).ok().map(|bytes| of_bytes(&bytes))
}

/// The checks that grade a lesson: `checks/NAME.rs` or `checks/NAME/`, and the test target.
pub(crate) fn of_checks(workspace: &Workspace, found: Located<'_>) -> Option<String> {
    let exercises = found.exercises(workspace);
    let file = format!("{}.rs", found.lesson.name);
    let mut files = rust_files(&exercises.join("checks").join(&found.lesson.name));
    files.push(exercises.join("checks").join(&file));
    files.push(exercises.join("tests").join(&file));
    files.sort();
    let contents: Vec<u8> = files.iter().filter_map(|path| fs::read(path).ok()).flatten().collect();
    (!contents.is_empty()).then(|| of_bytes(&contents))
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut files = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::of_bytes;

    #[test]
    fn is_the_published_function_folded() {
        // FNV-1a 64 of "a" is af63dc4c8601ec8c in the authors' test vectors.
        assert_eq!(of_bytes(b"a"), format!("{:08x}", 0xaf63_dc4c_u32 ^ 0x8601_ec8c));
    }

    #[test]
    fn line_ends_do_not_count() {
        assert_eq!(of_bytes(b"one\r\ntwo\r\n"), of_bytes(b"one\ntwo\n"));
        assert_ne!(of_bytes(b"one\ntwo\n"), of_bytes(b"one\nTwo\n"));
    }
}
