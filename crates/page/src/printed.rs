//! What an example has printed, read again by the test that holds it to its promises.

use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// No learner waits longer.
const LIMIT: Duration = Duration::from_secs(10);

/// Rows of cells, which two spaces or more keep apart.
pub struct Printed(Vec<Vec<String>>);

impl Printed {
    /// Builds an example of `package`, then runs it, so that its time is its own; shows what it
    /// prints.
    ///
    /// # Panics
    /// If it fails, takes longer than ten seconds, or prints what no pipe of 80 columns should see.
    pub fn by(package: &str, example: &str) -> Printed {
        let cargo = |task: &str| {
            let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
            let mut cargo = Command::new(program);
            cargo.args([task, "--quiet", "--package", package, "--example", example]);
            cargo.stdin(Stdio::null()).stderr(Stdio::inherit());
            cargo
        };
        // Two would share the processors, and each would find the machine busy.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let built = cargo("build").status().expect("cargo starts");
        assert!(built.success(), "{example} does not build");
        let began = Instant::now();
        let output = cargo("run").output().expect("cargo starts");
        let took = began.elapsed();
        let text = String::from_utf8(output.stdout).expect("an example prints text");
        println!("{text}\n{example} took {took:.1?}");

        assert!(output.status.success(), "{example} failed");
        assert!(took < LIMIT, "{example} took {took:.1?}");
        Printed::read(&text)
    }

    fn read(text: &str) -> Printed {
        assert!(!text.contains('\x1b'), "colour in a pipe");
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "more than 80 columns: {line}");
            assert!(!line.ends_with(' '), "spaces at the end: {line}");
        }
        let cells = |line: &str| {
            let cells = line.split("  ").map(|cell| cell.trim().to_owned());
            cells.filter(|cell| !cell.is_empty()).collect()
        };
        Printed(text.lines().map(cells).collect())
    }

    /// What stands right of `label`.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn cells(&self, label: &str) -> &[String] {
        let row = self.0.iter().find(|row| row.first().is_some_and(|cell| cell == label));
        &row.unwrap_or_else(|| panic!("there is no row `{label}`"))[1..]
    }

    /// The number in the cell `column` right of `label`, whatever its unit.
    ///
    /// # Panics
    /// If there is no such cell, or no number in it.
    pub fn number(&self, label: &str, column: usize) -> f64 {
        let cell = &self.cells(label)[column];
        let number = cell.split(' ').next().unwrap_or_default().replace(',', "");
        number.parse().unwrap_or_else(|_| panic!("`{cell}` is no number, right of `{label}`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_read_by_its_labels() {
        let printed = Printed::read("title\n\n   reads, in all        1,200        7.5 ms\n");
        assert_eq!(printed.cells("reads, in all"), ["1,200", "7.5 ms"]);
        assert_eq!(printed.number("reads, in all", 0), 1_200.0);
        assert_eq!(printed.number("reads, in all", 1), 7.5);
    }

    #[test]
    #[should_panic(expected = "spaces at the end")]
    fn what_the_eye_does_not_see_is_seen() {
        Printed::read("title \n");
    }
}
