//! The house keeps its own rules: floors, pages, commands. docs/architecture.md names them.

mod commands;
mod floors;
mod pages;
mod parts;

use std::path::{Path, PathBuf};

/// The workspace that this test was built in.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("crates/lab lies two folders below the root").to_owned()
}

/// Every Markdown file of the project, by its path from the root: not what is built, not the
/// learner's desk.
fn markdown() -> Vec<String> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root().join(&folder)).expect("a readable folder") {
            let entry = entry.expect("a readable entry");
            let name = entry.file_name().into_string().expect("our names are UTF-8");
            let path = folder.join(&name);
            let foreign = name.starts_with('.') || ["target", "desk", "book"].contains(&&*name);
            if entry.path().is_dir() && !foreign {
                folders.push(path);
            } else if name.ends_with(".md") {
                files.push(path.to_str().expect("our paths are UTF-8").to_owned());
            }
        }
    }
    assert!(files.len() > 10, "only {files:?} were found");
    files.sort();
    files
}
