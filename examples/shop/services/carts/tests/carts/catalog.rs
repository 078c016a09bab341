//! A catalogue that is played: it knows what the test says, writes down what it is asked, and can be
//! told to fail.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use shop_contracts::catalog::{Product, Quote, QuotesFor};
use shop_contracts::id::ProductId;
use shop_contracts::{Kind, Money, Problem};

#[derive(Clone, Default)]
pub(crate) struct Catalog(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    products: BTreeMap<ProductId, (String, i64)>,
    asked: Vec<String>,
    /// Answers that are left before it fails; for ever, if not said.
    answers: Option<usize>,
}

impl Catalog {
    pub(crate) fn router(&self) -> Router {
        Router::new()
            .route("/products/{id}", get(product))
            .route("/quotes", post(quotes))
            .with_state(self.clone())
    }

    pub(crate) fn sells(&self, name: &str, cents: i64) -> ProductId {
        let id = ProductId::new();
        self.reprices(id, name, cents);
        id
    }

    pub(crate) fn reprices(&self, id: ProductId, name: &str, cents: i64) {
        self.known().products.insert(id, (name.to_owned(), cents));
    }

    pub(crate) fn forgets(&self, id: ProductId) {
        self.known().products.remove(&id);
    }

    /// Answers so many more questions.
    pub(crate) fn answers(&self, answers: usize) {
        self.known().answers = Some(answers);
    }

    pub(crate) fn recovers(&self) {
        self.known().answers = None;
    }

    /// What it was asked since the last time.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.known().asked)
    }

    fn ask(&self, what: String) -> Result<MutexGuard<'_, Known>, Problem> {
        let mut known = self.known();
        known.asked.push(what);
        match &mut known.answers {
            Some(0) => return Err(Problem::new(Kind::Unavailable, "the catalogue is ill")),
            Some(left) => *left -= 1,
            None => {}
        }
        Ok(known)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().expect("no test panics while it holds this")
    }
}

async fn product(
    State(catalog): State<Catalog>,
    Path(id): Path<ProductId>,
) -> Result<Json<Product>, Problem> {
    let known = catalog.ask(format!("product {id}"))?;
    let Some((name, cents)) = known.products.get(&id) else {
        return Err(Problem::new(Kind::NotFound, format!("there is no product {id}")));
    };
    Ok(Json(Product {
        id,
        category: "drinks".to_owned(),
        name: name.clone(),
        description: String::new(),
        price: Money::euros(*cents),
    }))
}

/// In the order of the question backwards, which nothing forbids.
async fn quotes(
    State(catalog): State<Catalog>,
    Json(QuotesFor { products }): Json<QuotesFor>,
) -> Result<Json<Vec<Quote>>, Problem> {
    let known = catalog.ask(format!("quotes for {}", products.len()))?;
    let quote = |product: ProductId| {
        let (name, cents) = known.products.get(&product)?;
        Some(Quote { product, name: name.clone(), price: Money::euros(*cents) })
    };
    Ok(Json(products.into_iter().rev().filter_map(quote).collect()))
}
