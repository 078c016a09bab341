//! A users service that is played: it knows whom the test says, counts what it is asked, and can be
//! told to fail.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::extract::{Path, State};
use axum::routing::get;
use axum::{Json, Router};
use shop_contracts::id::CustomerId;
use shop_contracts::users::{Customer, Role};
use shop_contracts::{Kind, Problem};

#[derive(Clone, Default)]
pub(crate) struct Users(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    customers: BTreeMap<CustomerId, Customer>,
    asked: usize,
    away: bool,
}

impl Users {
    pub(crate) fn router(&self) -> Router {
        Router::new().route("/customers/{id}", get(customer)).with_state(self.clone())
    }

    pub(crate) fn knows(&self, name: &str, email: &str) -> CustomerId {
        let id = CustomerId::new();
        let email = email.to_owned().try_into().expect("an address");
        let name = name.to_owned().try_into().expect("a name");
        let customer = Customer { id, email, name, role: Role::Customer };
        self.known().customers.insert(id, customer);
        id
    }

    pub(crate) fn away(&self, away: bool) {
        self.known().away = away;
    }

    /// How often it was asked.
    pub(crate) fn asked(&self) -> usize {
        self.known().asked
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().expect("no test panics while it holds this")
    }
}

async fn customer(
    State(users): State<Users>,
    Path(id): Path<CustomerId>,
) -> Result<Json<Customer>, Problem> {
    let mut known = users.known();
    known.asked += 1;
    if known.away {
        return Err(Problem::new(Kind::Unavailable, "the users service is ill"));
    }
    let customer = known.customers.get(&id).cloned();
    let unknown = || Problem::new(Kind::NotFound, format!("there is no customer {id}"));
    Ok(Json(customer.ok_or_else(unknown)?))
}
