//! One adversarial test of whatever fulfils a lesson's contract.

use crate::process::Child;
use crate::verdict::Finding;
use crate::world::World;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type Body = Box<dyn Fn(World) -> Boxed<Result<(), Finding>> + Send + Sync>;
type ProcessBody = Box<dyn Fn(Child) -> Boxed<()> + Send + Sync>;

/// How long a check may take unless it says otherwise. A check that needs longer is a hang.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// A named check. The name is the test's name; the title is one sentence, what holds if it passes.
pub struct Check {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) read: &'static str,
    pub(crate) limit: Duration,
    pub(crate) body: Body,
    pub(crate) process: Option<ProcessBody>,
}

impl Check {
    /// A check whose body gets a fresh world each time.
    pub fn new<F, Fut>(name: &'static str, title: &'static str, body: F) -> Check
    where
        F: Fn(World) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Finding>> + Send + 'static,
    {
        Check {
            name,
            title,
            read: "",
            limit: TIME_LIMIT,
            body: Box::new(move |world| Box::pin(body(world))),
            process: None,
        }
    }

    /// What to read when it fails: a page, and the heading on it.
    pub fn read(self, read: &'static str) -> Check {
        Check { read, ..self }
    }

    /// Another time limit than five seconds.
    pub fn limit(self, limit: Duration) -> Check {
        Check { limit, ..self }
    }

    /// What a second process does that the check starts with [`World::process`].
    pub fn process<F, Fut>(self, body: F) -> Check
    where
        F: Fn(Child) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        Check { process: Some(Box::new(move |child| Box::pin(body(child)))), ..self }
    }

    /// The check's name.
    pub fn name(&self) -> &'static str {
        self.name
    }
}
