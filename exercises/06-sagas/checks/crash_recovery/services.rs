//! A checkout, and the services that it calls: each does a thing once for a key.

use super::*;
use deadpool_postgres::tokio_postgres::types::ToSql;
use sagas::saga::{Patience, Run, Step};
use std::pin::Pin;

/// The saga's name.
pub(super) const NAME: &str = "checkout";

pub(super) const SCHEMA: &str = "
    CREATE TABLE effect (saga text, what text, key text, buyer text, PRIMARY KEY (what, key));
    CREATE TABLE attempt (nth bigserial, saga text, what text, who text)";

/// The steps, each with its undoing. The one in the middle of nothing may be refused.
const STEPS: [(&str, Option<&str>); 5] = [
    ("place", Some("cancel")),
    ("reserve", Some("release")),
    ("charge", Some("refund")),
    ("approve", None),
    ("mail", None),
];
/// What the way back consists of.
pub(super) const UNDOING: [&str; 3] = ["refund", "release", "cancel"];

/// What all steps know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) buyer: String,
    /// The shop does not trust this buyer: `approve` is refused.
    pub(super) refused: bool,
}

impl Order {
    pub(super) fn of(buyer: &str) -> Order {
        Order { buyer: buyer.to_owned(), refused: false }
    }

    pub(super) fn refused(buyer: &str) -> Order {
        Order { refused: true, ..Order::of(buyer) }
    }

    pub(super) fn end(&self) -> Outcome {
        if self.refused { Outcome::Compensated } else { Outcome::Completed }
    }

    /// What has to have been done in the end, each once.
    pub(super) fn effects(&self) -> Vec<&'static str> {
        match self.refused {
            false => STEPS.iter().map(|(what, _)| *what).collect(),
            true => ["place", "reserve", "charge"].into_iter().chain(UNDOING).collect(),
        }
    }
}

/// A moment at which a saga can be met.
#[derive(Clone, Debug)]
pub(super) struct Moment {
    pub(super) saga: String,
    pub(super) what: &'static str,
    /// Behind the effect, and before the answer.
    pub(super) after: bool,
}

pub(super) type Act = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>;

/// What happens at each moment: it may wait, or fail.
pub(super) type Hook = Arc<dyn Fn(Moment) -> Act + Send + Sync>;

pub(super) fn hook<F, D>(call: F) -> Hook
where
    F: Fn(Moment) -> D + Send + Sync + 'static,
    D: Future<Output = Result<(), Failure>> + Send + 'static,
{
    Arc::new(move |moment| Box::pin(call(moment)))
}

/// Nothing happens.
pub(super) fn undisturbed() -> Hook {
    hook(async |_| Ok(()))
}

/// Waits at `gate` before it does `what`.
pub(super) fn held_at(what: &'static str, gate: &Gate) -> Hook {
    let gate = gate.clone();
    hook(move |moment: Moment| {
        let gate = gate.clone();
        async move {
            if moment.what == what && !moment.after {
                gate.pass().await;
            }
            Ok(())
        }
    })
}

/// `what` is refused.
pub(super) fn refuses(what: &'static str) -> Hook {
    hook(move |moment: Moment| async move {
        match moment.what == what && !moment.after {
            true => Err(Failure::Refused("not today".to_owned())),
            false => Ok(()),
        }
    })
}

#[derive(Clone)]
pub(super) struct Services {
    pub(super) tables: Tables,
    who: String,
    history: Option<History>,
}

impl Services {
    pub(super) fn open(
        url: &str,
        who: &str,
        history: Option<History>,
    ) -> Result<Services, Finding> {
        let tables = Tables::open(url, Duration::from_secs(5)).map_err(said)?;
        Ok(Services { tables, who: who.to_owned(), history })
    }

    /// Does a thing, once for a key; or again, if the service has forgotten its keys.
    async fn effect(
        &self,
        run: &Run<Order>,
        what: &'static str,
        forgetful: bool,
    ) -> Result<(), Failure> {
        if let Some(history) = &self.history {
            history.note(&self.who, format!("{what} {}", run.id));
        }
        let text = "WITH tried AS (
                      INSERT INTO attempt (saga, what, who) VALUES ($1, $2, $5) RETURNING nth)
                    INSERT INTO effect (saga, what, key, buyer)
                    SELECT $1, $2, CASE WHEN $6 THEN $3 || nth ELSE $3 END, $4 FROM tried
                    ON CONFLICT DO NOTHING";
        let parameters: [&(dyn ToSql + Sync); 6] =
            [&run.id, &what, &run.key, &run.context.buyer, &self.who, &forgetful];
        let mut answer = self.tables.rows(text, &parameters).await;
        // Where the check kills all sessions, the service's die, too; it is not the service that is
        // being looked at.
        for _ in 0..20 {
            if answer.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
            answer = self.tables.rows(text, &parameters).await;
        }
        answer.map(drop).map_err(|error| Failure::Unclear(error.to_string()))
    }

    /// What somebody has asked for arrives.
    pub(super) async fn lands(&self, what: &str, id: &str, order: &Order) -> Result<(), Failure> {
        if let Some(history) = &self.history {
            history.note(&self.who, format!("{what} {id} (it was on its way)"));
        }
        let text = "INSERT INTO effect (saga, what, key, buyer) VALUES ($1, $2, $3, $4)";
        let key = format!("on its way: {id}");
        let answer = self.tables.rows(text, &[&id, &what, &key, &order.buyer]).await;
        answer.map(drop).map_err(|error| Failure::Unclear(error.to_string()))
    }

    /// Whether a thing was done.
    async fn was_done(&self, run: &Run<Order>, what: &'static str) -> Result<bool, Failure> {
        if let Some(history) = &self.history {
            history.note(&self.who, format!("asks for {what} {}", run.id));
        }
        let text = "SELECT 1 FROM effect WHERE saga = $1 AND what = $2";
        let row = self.tables.row(text, &[&run.id, &what]).await;
        row.map(|row| row.is_some()).map_err(|error| Failure::NotDone(error.to_string()))
    }
}

/// What is done twice if it is called twice, and can be asked.
const FORGETFUL: [&str; 2] = ["place", "charge"];

/// The checkout. `forgetful`: two of its services know no keys, and can be asked.
pub(super) fn checkout(services: &Services, hook: &Hook, forgetful: bool) -> Saga<Order> {
    let patience = Patience {
        attempts: 3,
        first: Duration::from_millis(5),
        longest: Duration::from_millis(20),
        // Some are held at a moment of theirs for as long as the check lasts.
        deadline: Duration::from_secs(60),
    };
    let mut saga = Saga::named(NAME);
    for (what, undo) in STEPS {
        let forgets = forgetful && FORGETFUL.contains(&what);
        let act = call(services, hook, what, forgets);
        let mut step = Step::new(what, act).patience(patience);
        if let Some(undo) = undo {
            step = step.undo(call(services, hook, undo, false));
        }
        if forgets {
            let services = services.clone();
            step = step.ask(move |run| {
                let services = services.clone();
                async move { services.was_done(&run, what).await }
            });
        }
        if what == "mail" {
            step = step.pivot();
        }
        saga = saga.step(step);
    }
    saga
}

fn call(
    services: &Services,
    hook: &Hook,
    what: &'static str,
    forgetful: bool,
) -> impl Fn(Run<Order>) -> Act + Send + Sync + 'static + use<> {
    let (services, hook) = (services.clone(), Arc::clone(hook));
    move |run| {
        let (services, hook) = (services.clone(), Arc::clone(&hook));
        Box::pin(async move {
            let moment = Moment { saga: run.id.clone(), what, after: false };
            hook(moment.clone()).await?;
            if what == "approve" && run.context.refused {
                return Err(Failure::Refused("this buyer is not trusted".to_owned()));
            }
            services.effect(&run, what, forgetful).await?;
            hook(Moment { after: true, ..moment }).await
        })
    }
}
