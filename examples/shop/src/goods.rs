//! What there is to sell, and who may try it out.

use anyhow::{Context, Result};
use shop_contracts::catalog::{Category, List, Product};
use shop_contracts::id::ProductId;
use shop_contracts::inventory::Delivery;
use shop_contracts::text::{Email, Name, Password};
use shop_contracts::users::{NewCustomer, Registration, Role};
use shop_contracts::{Kind, Money, Peers};
use shop_outside::supplier;

/// Somebody to buy as, and somebody to set prices as. For a shop on one's own machine only, which
/// is why they stand in the source.
pub const ACCOUNTS: [(&str, &str, Role); 2] = [
    ("ada@example.org", "ada buys", Role::Customer),
    ("staff@example.org", "staff only", Role::Staff),
];

/// Fills the catalogue and the warehouse with the list of `seed`, and opens the [`ACCOUNTS`].
/// What is there already stays as it is, stock above all. The products in the list's order.
///
/// # Errors
/// A service that does not answer.
pub async fn take_in(peers: &Peers, seed: u64, size: usize) -> Result<Vec<ProductId>> {
    let list = supplier::list(seed, size);
    let deliveries: Vec<_> = list
        .products
        .iter()
        .map(|product| Delivery {
            product: ProductId(product.id),
            first_stock: u32::try_from(product.stock).unwrap_or(0),
        })
        .collect();
    let products: Vec<_> = list.products.into_iter().map(product).collect();
    let ids = products.iter().map(|product| product.id).collect();
    let categories = list.categories.into_iter();
    let categories =
        categories.map(|one| Category { slug: one.slug.into(), name: one.name.into() }).collect();
    peers.inventory.deliver(&deliveries).await.context("the warehouse took nothing in")?;
    // The catalogue last: who sees a product there finds it in the warehouse.
    let list = List { categories, products };
    peers.catalog.take_in(&list).await.context("the catalogue took nothing in")?;
    for (email, password, role) in ACCOUNTS {
        account(peers, email, password, role).await?;
    }
    Ok(ids)
}

fn product(listing: supplier::Listing) -> Product {
    Product {
        id: ProductId(listing.id),
        category: listing.category.into(),
        name: listing.name,
        description: listing.description,
        price: Money::euros(listing.price),
    }
}

/// Opens an account, unless it is there.
///
/// # Errors
/// A text that is none, or a service that does not answer.
pub async fn account(peers: &Peers, email: &str, password: &str, role: Role) -> Result<()> {
    let read = |text: &str| anyhow::anyhow!("`{text}` cannot be an account's");
    let name = email.split('@').next().unwrap_or(email);
    let registration = Registration {
        email: Email::try_from(email.to_owned()).map_err(|_| read(email))?,
        password: Password::try_from(password.to_owned()).map_err(|_| read("that password"))?,
        name: Name::try_from(name.to_owned()).map_err(|_| read(name))?,
    };
    match peers.users.register(&NewCustomer { registration, role }).await {
        Err(problem) if !problem.is(Kind::Taken) => {
            Err(problem).with_context(|| format!("no account for {email}"))
        }
        _ => Ok(()),
    }
}
