//! The supplier's list: what there is to sell, drawn from a seed.
//!
//! The same seed and size give the same list, to the byte, on every machine and in every version
//! of the crates below. Databases of one seed can be compared, and a load generator can name a
//! product without having asked for it. So the random numbers are our own: `rand`
//! promises no such thing for its `StdRng`.
//!
//! **The order of the list is the order of popularity.** A load generator that draws Zipf ranks
//! takes rank *i* for the product at index *i*. The categories are shuffled over the ranks, so
//! that no category is the popular one, and the ids rise along the list.

mod random;
mod words;

use random::Random;
use std::collections::HashMap;
use uuid::{Builder, Uuid};
use words::{CATEGORIES, Family, Form, Shelf};

/// How many products a shop has, unless somebody says otherwise.
pub const USUAL_SIZE: usize = 3_000;

/// The currency of all prices, as its ISO 4217 code.
pub const CURRENCY: &str = "EUR";

/// No price is lower, in cents.
pub const MIN_PRICE: i64 = 190;

/// No price is higher, in cents.
pub const MAX_PRICE: i64 = 99_900;

/// Of no product there are fewer.
pub const MIN_STOCK: i64 = 10;

/// Of no product there are more.
pub const MAX_STOCK: i64 = 500;

/// The first product's id says that it was listed on 1 January 2026, midnight UTC; each further
/// one a millisecond later.
const LISTED_MILLIS: u64 = 1_767_225_600_000;

/// What a supplier has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalogue {
    /// Twelve, in the order of the alphabet.
    pub categories: Vec<Category>,
    /// The most popular first.
    pub products: Vec<Listing>,
}

/// A shelf in the shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Category {
    /// What stands in addresses: lower case, without spaces.
    pub slug: &'static str,
    /// What stands on the sign.
    pub name: &'static str,
}

/// One product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// UUIDv7; rises along the list.
    pub id: Uuid,
    /// The slug of its category.
    pub category: &'static str,
    /// No two are the same.
    pub name: String,
    /// Two sentences, at most 300 characters.
    pub description: String,
    /// In cents of [`CURRENCY`], between [`MIN_PRICE`] and [`MAX_PRICE`].
    pub price: i64,
    /// Between [`MIN_STOCK`] and [`MAX_STOCK`].
    pub stock: i64,
}

/// Draws a list of `size` products. The names repeat after some thousands; from there on they
/// carry a number, as in "Tarn oak spoon, no. 2".
pub fn list(seed: u64, size: usize) -> Catalogue {
    let mut random = Random::new(seed);
    let mut shelves: Vec<Drawn> =
        CATEGORIES.iter().map(|shelf| Drawn::new(shelf, &mut random)).collect();
    // A deck with as many cards of each category, give or take one, and then shuffled.
    let mut deck: Vec<usize> = (0..size).map(|index| index % CATEGORIES.len()).collect();
    random.shuffle(&mut deck);
    let products = deck
        .into_iter()
        .zip(LISTED_MILLIS..)
        .map(|(category, millis)| {
            let id = Builder::from_unix_timestamp_millis(millis, &random.bytes()).into_uuid();
            shelves[category].draw(id, &mut random)
        })
        .collect();
    let categories =
        CATEGORIES.iter().map(|shelf| Category { slug: shelf.slug, name: shelf.name }).collect();
    Catalogue { categories, products }
}

/// A category from which products are drawn, none twice.
struct Drawn {
    shelf: &'static Shelf,
    things: Vec<Thing>,
    next: usize,
    /// How often each was given: where `things` run out, they come round again.
    names: HashMap<String, usize>,
}

#[derive(Clone, Copy)]
struct Thing {
    maker: &'static str,
    material: &'static str,
    family: &'static Family,
    form: &'static Form,
}

impl Drawn {
    fn new(shelf: &'static Shelf, random: &mut Random) -> Self {
        let mut things = Vec::new();
        for family in shelf.families {
            for form in family.forms {
                for &material in family.materials {
                    let all = shelf.makers.iter();
                    things.extend(all.map(|&maker| Thing { maker, material, family, form }));
                }
            }
        }
        random.shuffle(&mut things);
        Self { shelf, things, next: 0, names: HashMap::new() }
    }

    fn draw(&mut self, id: Uuid, random: &mut Random) -> Listing {
        let thing = self.things[self.next % self.things.len()];
        self.next += 1;
        let price = price(thing.form.euros, random);
        Listing {
            id,
            category: self.shelf.slug,
            name: self.name(thing),
            description: thing.description(random),
            price,
            stock: stock(random),
        }
    }

    fn name(&mut self, thing: Thing) -> String {
        let name = format!("{} {} {}", thing.maker, thing.material, thing.form.name);
        let times = self.names.entry(name.clone()).or_default();
        *times += 1;
        if *times == 1 { name } else { format!("{name}, no. {times}") }
    }
}

impl Thing {
    fn description(&self, random: &mut Random) -> String {
        let finish = self.family.finishes[random.below(self.family.finishes.len())];
        let (first, rest) = self.material.split_at(1);
        format!("{}{rest}, {finish}. {}.", first.to_uppercase(), self.form.purpose)
    }
}

/// Log-normal around what such a thing costs: a price is never below nothing, and now and then far
/// above the usual. Two thirds lie between 0.7 and 1.4 times the usual.
fn price(usual_euros: u16, random: &mut Random) -> i64 {
    let euros = (f64::from(usual_euros) * (0.35 * random.normal()).exp()) as i64;
    let cents = match (euros, random.below(4)) {
        (..50, 0) | (50.., 0 | 1) => 0,
        (_, 1) => 90,
        _ => 99,
    };
    (euros * 100 + cents).clamp(MIN_PRICE, MAX_PRICE)
}

/// Log-normal around 120.
fn stock(random: &mut Random) -> i64 {
    ((120.0 * (0.6 * random.normal()).exp()) as i64).clamp(MIN_STOCK, MAX_STOCK)
}

#[cfg(test)]
mod tests;
