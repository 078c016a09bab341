//! Orders, and the checkout.
