//! What is said when no server is to be had.

use std::fmt;

use super::Step;

/// No server could be found or started. The message tells what was tried, and ends with the
/// one command to run next. A check that meets this is inconclusive: it never passes.
#[derive(Debug, Clone, thiserror::Error)]
pub struct Missing {
    /// The kind of server: "Redis".
    pub server: &'static str,
    /// What each step of the chain answered, in its order.
    pub tried: Vec<(Step, String)>,
    /// What to do now: a command where there is one.
    pub next: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "no {} to work with", self.server)?;
        for (step, why) in &self.tried {
            let mut lines = why.lines();
            writeln!(f, "  {:<10} {}", step.name(), lines.next().unwrap_or_default())?;
            for line in lines {
                writeln!(f, "  {:<10} {line}", "")?;
            }
        }
        write!(f, "next: {}", self.next)
    }
}
