//! Who is graded, behind a proxy: its calls, and its consumer at work.

use super::scene::names;
use super::*;
use testbed::proxy::Proxy;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// One program of the shop, with a ward of its own.
pub(super) struct Client<S> {
    pub(super) lane: &'static str,
    pub(super) ward: S,
    pub(super) proxy: Proxy,
    pub(super) history: History,
}

impl<S: Ward> Client<S> {
    /// Consumes in a task of its own.
    pub(super) fn starts(self: &Arc<Self>, works: &Works) -> Running {
        let (client, works) = (Arc::clone(self), works.clone());
        let told = watch::Sender::new(false);
        let mut until = told.subscribe();
        let task = tokio::spawn(async move {
            let until = async move {
                // Whoever is not told goes on; a check that has ended ends all of it.
                if until.wait_for(|over| *over).await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            let work = move |delivered| works.clone().work(delivered);
            let consumed = client.ward.consume(work, until);
            let ended = client.history.call(client.lane, "consume", consumed).await;
            ended.map_err(|error| error.to_string())
        });
        Running { lane: self.lane, history: self.history.clone(), told, task }
    }

    /// What is dead. The answer must come in time, and be one.
    pub(super) async fn letters(&self) -> Result<Vec<DeadLetter>, Finding> {
        let call = self.history.invoke(self.lane, "dead_letters");
        match tokio::time::timeout(IN_TIME, self.ward.dead_letters()).await {
            Ok(Ok(letters)) => {
                let messages: Vec<Message> =
                    letters.iter().map(|letter| letter.message.clone()).collect();
                call.ok(names(&messages));
                Ok(letters)
            }
            Ok(Err(error)) => {
                let step = call.fail(error.to_string());
                Err(Evidence::new("the dead letters", error.to_string()).at(step).into())
            }
            Err(_) => Err(Evidence::new("the dead letters", "nothing within 15 s").into()),
        }
    }

    /// The one that is dead.
    pub(super) async fn letter(&self) -> Result<DeadLetter, Finding> {
        let letters = self.letters().await?;
        match <[DeadLetter; 1]>::try_from(letters) {
            Ok([letter]) => Ok(letter),
            Err(letters) => Err(self.not("one dead letter", format!("{}", letters.len()))),
        }
    }

    /// Sends back what is wanted. The answer must come in time; what it is is for the check.
    pub(super) async fn redrive(
        &self,
        wanted: impl Fn(&DeadLetter) -> bool + Send + Sync,
    ) -> Result<Result<u64, String>, Finding> {
        let call = self.history.invoke(self.lane, "redrive");
        match tokio::time::timeout(IN_TIME, self.ward.redrive(wanted)).await {
            Ok(answer) => {
                call.end_with(&answer);
                Ok(answer.map_err(|error| error.to_string()))
            }
            Err(_) => Err(Evidence::new("redrive() to end", "it goes on for 15 s").into()),
        }
    }

    /// Sends back, and so many must move.
    pub(super) async fn redrives(
        &self,
        many: u64,
        wanted: impl Fn(&DeadLetter) -> bool + Send + Sync,
    ) -> Result<(), Finding> {
        match self.redrive(wanted).await? {
            Ok(moved) if moved == many => Ok(()),
            Ok(moved) => Err(self.not(format!("{many} sent back"), moved.to_string())),
            Err(error) => Err(self.not(format!("{many} sent back"), error)),
        }
    }

    pub(super) fn not(&self, expected: impl Into<String>, saw: impl Into<String>) -> Finding {
        Evidence::new(expected, saw).at(self.history.last(self.lane, "= ")).into()
    }
}

/// A consumer at work. It ends with the check.
pub(super) struct Running {
    lane: &'static str,
    history: History,
    told: watch::Sender<bool>,
    task: JoinHandle<Result<Drained, String>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Running {
    /// Waits for something, for as long as it goes on.
    pub(super) async fn meanwhile<T>(
        &mut self,
        comes: impl Future<Output = Result<T, Finding>>,
    ) -> Result<T, Finding> {
        tokio::select! {
            came = comes => came,
            ended = &mut self.task => {
                let saw = match ended? {
                    Ok(_) => "it has returned".to_owned(),
                    Err(error) => error,
                };
                let step = self.history.last(self.lane, "= ");
                Err(Evidence::new("a consumer that goes on", saw).at(step).into())
            }
        }
    }

    /// Tells it to end.
    pub(super) fn tell(&self) {
        if !self.told.send_replace(true) {
            self.history.note(self.lane, "(is told to end)");
        }
    }

    /// Waits until it ends by itself, with an error.
    pub(super) async fn fails(&mut self) -> Result<String, Finding> {
        let step = self.history.last(self.lane, "");
        match tokio::time::timeout(A_WHILE, &mut self.task).await {
            Ok(Ok(Err(error))) => Ok(error),
            Ok(Ok(Ok(_))) => Err(Evidence::new("an error", "it has returned").at(step).into()),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => {
                let saw = format!("it goes on for {A_WHILE:?}");
                Err(Evidence::new("an error: no later attempt would help", saw).at(step).into())
            }
        }
    }

    /// Told to end, it must.
    pub(super) async fn ends(mut self) -> Result<Drained, Finding> {
        self.tell();
        let step = self.history.last(self.lane, "(is told to end)");
        match tokio::time::timeout(A_WHILE, &mut self.task).await {
            Ok(Ok(Ok(drained))) => Ok(drained),
            Ok(Ok(Err(error))) => {
                Err(Evidence::new("a consumer that ends well", error).at(step).into())
            }
            Ok(Err(error)) => Err(error.into()),
            Err(_) => {
                Err(Evidence::new("consume() to return", "it goes on for 6 s").at(step).into())
            }
        }
    }
}
