//! A client of the shop, and what it may be told.

use super::scene::{Job, Payment, Scene};
use super::*;
use grading::History;
use sagas::idempotency_keys::Response;
use std::sync::PoisonError;
use std::time::Instant;
use testbed::proxy::Proxy;
use tokio::task::JoinHandle;

/// One client of the shop, with a store of its own at connections of its own.
pub(super) struct Client<K> {
    pub(super) lane: &'static str,
    pub(super) keys: K,
    pub(super) proxy: Proxy,
    pub(super) history: History,
}

impl<K: Keys> Client<K> {
    pub(super) async fn pay(&self, payment: &Payment, job: &Job) -> Result<Answer, Error> {
        let call = self.history.invoke(self.lane, format!("pay, {}", payment.key));
        let answer = self.keys.once(&payment.request(), job.work()).await;
        match &answer {
            Ok(answer) => call.ok(told(answer)),
            Err(error) => call.fail(error.to_string()),
        };
        answer
    }

    pub(super) fn start(
        self: &Arc<Self>,
        payment: &Payment,
        job: &Job,
    ) -> JoinHandle<Result<Answer, Error>> {
        let (client, payment, job) = (Arc::clone(self), payment.clone(), job.clone());
        tokio::spawn(async move { client.pay(&payment, &job).await })
    }

    /// Tries until there is an answer, as a client does.
    pub(super) async fn pays(&self, payment: &Payment, job: &Job) -> Result<Answer, Finding> {
        self.pays_within(A_WHILE, payment, job).await
    }

    pub(super) async fn pays_within(
        &self,
        patience: Duration,
        payment: &Payment,
        job: &Job,
    ) -> Result<Answer, Finding> {
        let began = Instant::now();
        loop {
            let left = patience.saturating_sub(began.elapsed());
            let Ok(answer) = tokio::time::timeout(left, self.pay(payment, job)).await else {
                let expected = "an answer: nobody may be at this key any more";
                return Err(self.broken(expected, format!("none within {patience:.0?}")));
            };
            match answer {
                Ok(answer) => return Ok(answer),
                Err(error) if matches!(error, Error::OtherRequest) || left.is_zero() => {
                    return Err(self.broken("an answer", error.to_string()));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// Pays for the first time.
    pub(super) async fn pays_first(&self, payment: &Payment, job: &Job) -> Result<Answer, Finding> {
        let answer = self.pays(payment, job).await?;
        match answer.replayed {
            false => Ok(answer),
            true => Err(self.broken("the first answer under this key", told(&answer))),
        }
    }

    /// Has to get this answer, and as one of an earlier time.
    pub(super) async fn pays_again(
        &self,
        payment: &Payment,
        job: &Job,
        first: &Answer,
    ) -> Result<(), Finding> {
        let answer = self.pays(payment, job).await?;
        self.same(first, &answer)?;
        match answer.replayed {
            true => Ok(()),
            false => Err(self.broken("an answer that is marked as replayed", told(&answer))),
        }
    }

    pub(super) fn same(&self, first: &Answer, answer: &Answer) -> Result<(), Finding> {
        self.alike("the first answer's", &first.response, &answer.response)
    }

    /// Has to be what the work has said at last.
    pub(super) fn as_given(&self, job: &Job, answer: &Answer) -> Result<(), Finding> {
        let given = job.given.lock().unwrap_or_else(PoisonError::into_inner).last().cloned();
        match given {
            Some(given) => self.alike("what the work has said:", &given, &answer.response),
            None => Err(self.broken("an answer of the work", told(answer))),
        }
    }

    fn alike(&self, whose: &str, expected: &Response, saw: &Response) -> Result<(), Finding> {
        let differs = |what: &str, expected: String, saw: String| {
            Err(self.broken(format!("{whose} {what}, {expected}"), saw))
        };
        if expected.status != saw.status {
            return differs("status", expected.status.to_string(), saw.status.to_string());
        }
        if expected.headers != saw.headers {
            let shown = |response: &Response| format!("{:?}", response.headers);
            return differs("headers", shown(expected), shown(saw));
        }
        if expected.body != saw.body {
            return differs("body", shown(&expected.body), shown(&saw.body));
        }
        Ok(())
    }

    /// What says that nothing was done has to be true.
    pub(super) async fn honest(
        &self,
        scene: &Scene,
        payment: &Payment,
        error: &Error,
    ) -> Result<(), Finding> {
        let says_no =
            matches!(error, Error::OtherRequest | Error::InProgress { .. } | Error::Work(_));
        if says_no && scene.charged(&payment.what).await? > 0 {
            let expected = "an error that leaves open whether it was done: it was";
            return Err(self.broken(expected, error.to_string()));
        }
        Ok(())
    }

    /// An answer that has to be a refusal: another request had this key.
    pub(super) fn refused(&self, answer: Result<Answer, Error>) -> Result<(), Finding> {
        let expected = "refused: this key was used for another request";
        match answer {
            Err(Error::OtherRequest) => Ok(()),
            Err(error) => Err(self.broken(expected, error.to_string())),
            Ok(answer) => Err(self.broken(expected, told(&answer))),
        }
    }

    /// Waits until a call that may have to wait has done what it can: it has ended, waits for a lock,
    /// or has asked and asked again. One that does none of that is given a moment.
    pub(super) async fn settles<T>(
        &self,
        scene: &Scene,
        calls: &[JoinHandle<T>],
    ) -> Result<(), Finding> {
        let began = Instant::now();
        let postgres = scene.world.postgres().await?;
        while began.elapsed() < A_MOMENT {
            let ended = calls.iter().all(JoinHandle::is_finished);
            let asks = self.proxy.counts().requests >= 16 * calls.len().min(8);
            if ended || asks || postgres.waiting().await? >= calls.len().min(4) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    pub(super) fn broken(&self, expected: impl Into<String>, saw: impl Into<String>) -> Finding {
        Evidence::new(expected, saw).at(self.history.last(self.lane, "= ")).into()
    }
}

/// Long enough for a call on a busy machine.
pub(super) const A_MOMENT: Duration = Duration::from_millis(600);

/// A body, of which a long one shows its length and its end.
fn shown(body: &[u8]) -> String {
    match body.len() {
        0 => "none".to_owned(),
        1..80 => body.escape_ascii().to_string(),
        all => format!("{all} bytes that end in {}", body[all - 16..].escape_ascii()),
    }
}

/// An answer, as the timeline shows it.
pub(super) fn told(answer: &Answer) -> String {
    let Answer { response, replayed } = answer;
    let location = response.headers.iter().find(|(name, _)| name == "location");
    let place = location.map_or("nowhere", |(_, value)| value);
    format!("{} {place}{}", response.status, if *replayed { ", replayed" } else { "" })
}

/// Waits until the task has come to the gate: `true`; or has ended without: `false`.
pub(super) async fn meets<T>(gate: &Gate, task: &mut JoinHandle<T>) -> Result<bool, Finding> {
    let ends = async {
        while !task.is_finished() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        biased;
        came = gate.arrived(1, SOON) => Ok(came.map(|()| true)?),
        () = ends => Ok(gate.count() > 0),
    }
}

pub(super) fn landed(times: usize, what: &str) -> Result<(), Finding> {
    match times {
        0 => Err(Finding::inconclusive(format!("the fault did not land: {what}"))),
        _ => Ok(()),
    }
}
