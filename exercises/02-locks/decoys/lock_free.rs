//! Wrong stocks, as people build them in good faith. The head of each says what is wrong and which
//! check finds out. Each is wrong in one of the three ways; the other two are the reference's.

mod script;
mod update;
mod watch;

use grading::Decoy;
use locks::lock_free::{Answer, Error, Options, ScriptStock, Stock, UpdateStock, WatchStock};
use locks_exercises::lock_free::{Ways, check};

/// Every decoy with the check that must reject it.
pub fn all() -> Vec<Decoy> {
    let mut all = script::all();
    all.extend(watch::all());
    all.extend(update::all());
    all
}

/// A wrong answer takes the place of one of the references.
macro_rules! in_place_of {
    (ScriptStock: $($decoy:ident),+) => {$(
        impl Ways for $decoy {
            type Script = Self;
            type Watch = WatchStock;
            type Update = UpdateStock;
        }
    )+};
    (WatchStock: $($decoy:ident),+) => {$(
        impl Ways for $decoy {
            type Script = ScriptStock;
            type Watch = Self;
            type Update = UpdateStock;
        }
    )+};
    (UpdateStock: $($decoy:ident),+) => {$(
        impl Ways for $decoy {
            type Script = ScriptStock;
            type Watch = WatchStock;
            type Update = Self;
        }
    )+};
}
use in_place_of;

/// What a wrong answer does like the reference: all but the take.
macro_rules! all_but_take {
    ($reference:ident) => {
        fn open(url: &str, options: Options) -> Result<Self, Error> {
            Self::make(url, options)
        }

        async fn put(&self, product: &str, units: u32) -> Result<(), Error> {
            self.right.put(product, units).await
        }

        async fn left(&self, product: &str) -> Result<Option<u32>, Error> {
            self.right.left(product).await
        }
    };
}
use all_but_take;

/// Where the references keep things in Redis: a hash for each product.
fn key(product: &str) -> String {
    format!("stock:{product}")
}

/// The field of an order in its product's hash.
fn field(order: &str) -> String {
    format!("order:{order}")
}
