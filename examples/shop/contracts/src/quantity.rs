//! How many.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How many of one product a cart or an order holds: 1 to 99.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "u32", into = "u32")]
#[schema(value_type = u32, minimum = 1, maximum = 99)]
pub struct Quantity(u32);

impl Quantity {
    /// The most of one product in one order.
    pub const MOST: u32 = 99;

    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for Quantity {
    type Error = String;

    fn try_from(number: u32) -> Result<Quantity, String> {
        match number {
            1..=Quantity::MOST => Ok(Quantity(number)),
            _ => Err(format!("a quantity is between 1 and {}, not {number}", Quantity::MOST)),
        }
    }
}

impl TryFrom<i64> for Quantity {
    type Error = String;

    fn try_from(number: i64) -> Result<Quantity, String> {
        u32::try_from(number).map_err(|_| format!("{number} is no quantity"))?.try_into()
    }
}

impl From<Quantity> for u32 {
    fn from(quantity: Quantity) -> u32 {
        quantity.0
    }
}

impl From<Quantity> for i64 {
    fn from(quantity: Quantity) -> i64 {
        quantity.0.into()
    }
}
