//! What each step of the chain would answer on this machine.

use super::container::engine;
use super::install::{Method, unasked};
use super::{Recipe, Step, program};

/// What one step answers.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The step.
    pub step: Step,
    /// Whether a lesson could work with it.
    pub usable: bool,
    /// What there is, or what is not.
    pub text: String,
}

/// Asks every step of the chain, in its order. A server is started where its program is, and
/// ended again; containers and installations are only looked at. Blocks.
pub fn examine(recipe: &Recipe) -> Vec<Finding> {
    Step::CHAIN.iter().map(|step| finding(recipe, *step)).collect()
}

fn finding(recipe: &Recipe, step: Step) -> Finding {
    let (usable, text) = match step {
        Step::Url | Step::Kept | Step::Binary => match step.take(recipe, false) {
            Ok(provided) => (true, provided.origin),
            Err(refusal) => (false, refusal.why().to_owned()),
        },
        Step::Container => match engine() {
            Ok(engine) => (true, format!("a Docker engine answers at {engine}")),
            Err(why) => (false, why),
        },
        Step::Install => match (program::of(recipe), unasked()) {
            (Some(_), _) => (false, "not needed".into()),
            (None, true) => (true, "by apt-get, when it is first needed".into()),
            (None, false) => (false, setup(recipe)),
        },
    };
    Finding { step, usable, text }
}

/// What `cargo lab setup` would do here, for those whom the chain does not install for.
fn setup(recipe: &Recipe) -> String {
    let plan = Method::choose(recipe).and_then(|method| method.plan(recipe));
    match plan {
        Some(plan) => format!("`{}` installs {}", recipe.order("setup"), plan.summary),
        None => "no way to install it is known here".into(),
    }
}
