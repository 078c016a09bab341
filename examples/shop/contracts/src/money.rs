//! Money: whole minor units and the currency's code, never a fraction.
//!
//! A float cannot hold ten cents, and a sum of many is wrong by as many errors. The shop sells in
//! euros; the code travels with each amount all the same, so that no sum ever mixes two.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A currency of ISO 4217.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Currency {
    /// The euro, of 100 cents.
    #[default]
    Eur,
}

/// An amount of money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// In minor units: 1290 is 12.90 EUR.
    pub amount: i64,
    /// ISO 4217.
    pub currency: Currency,
}

impl Money {
    /// So many cents.
    pub const fn euros(cents: i64) -> Money {
        Money { amount: cents, currency: Currency::Eur }
    }

    /// The sum; nothing where the currencies differ or it is too large.
    pub fn plus(self, other: Money) -> Option<Money> {
        (self.currency == other.currency)
            .then(|| Some(Money { amount: self.amount.checked_add(other.amount)?, ..self }))?
    }

    /// So many times it; nothing where that is too large.
    pub fn times(self, count: u32) -> Option<Money> {
        Some(Money { amount: self.amount.checked_mul(i64::from(count))?, ..self })
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Currency::Eur = self.currency;
        let sign = if self.amount < 0 { "-" } else { "" };
        let cents = self.amount.unsigned_abs();
        write!(f, "{sign}{}.{:02} EUR", cents / 100, cents % 100)
    }
}

/// A price: above nothing, and below what a sum of orders could overflow with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "Money", into = "Money")]
#[schema(as = Price, value_type = PriceTag)]
pub struct Price(Money);

/// How a [`Price`] is described: [`Money`] within its bounds.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its description is used")]
struct PriceTag {
    /// In minor units: 1290 is 12.90 EUR.
    #[schema(minimum = 1, maximum = 1_000_000_000)]
    amount: i64,
    /// ISO 4217.
    currency: Currency,
}

impl Price {
    /// The dearest that anything may be: ten million euros.
    pub const HIGHEST: i64 = 1_000_000_000;

    /// The amount.
    pub fn money(self) -> Money {
        self.0
    }
}

impl TryFrom<Money> for Price {
    type Error = String;

    fn try_from(money: Money) -> Result<Price, String> {
        match money.amount {
            1..=Price::HIGHEST => Ok(Price(money)),
            _ => Err(format!("a price is between 1 and {} minor units", Price::HIGHEST)),
        }
    }
}

impl From<Price> for Money {
    fn from(price: Price) -> Money {
        price.0
    }
}

#[cfg(test)]
mod tests {
    use super::{Money, Price};

    #[test]
    fn an_amount_reads_as_people_write_it() {
        let shown = [0, 5, 1290, -1, -1290, i64::MIN].map(|cents| Money::euros(cents).to_string());
        let expected = ["0.00", "0.05", "12.90", "-0.01", "-12.90", "-92233720368547758.08"];
        assert_eq!(shown, expected.map(|amount| format!("{amount} EUR")));
    }

    #[test]
    fn what_does_not_fit_is_not_an_amount() {
        assert_eq!(Money::euros(i64::MAX).plus(Money::euros(1)), None);
        assert_eq!(Money::euros(i64::MAX / 2).times(3), None);
        assert_eq!(Money::euros(250).times(3), Some(Money::euros(750)));
    }

    #[test]
    fn a_price_is_more_than_nothing_and_a_whole_number() {
        let read = |json: &str| serde_json::from_str::<Price>(json).map(Price::money);
        let euros = |amount: &str| read(&format!(r#"{{"amount": {amount}, "currency": "EUR"}}"#));
        assert_eq!(euros("1290").expect("a price"), Money::euros(1290));
        for wrong in ["0", "-1", "12.5", "\"12\"", "1000000001", "null"] {
            assert!(euros(wrong).is_err(), "{wrong}");
        }
        assert!(read(r#"{"amount": 1, "currency": "XXX"}"#).is_err());
    }
}
