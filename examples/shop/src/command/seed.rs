//! `shop seed`: something to sell, for a shop that is up.

use crate::goods;
use anyhow::{Context, Result};
use shop_contracts::Peers;
use shop_contracts::id::ProductId;

use super::Seed;
use super::load::is_up;
use super::run::peers;

/// Takes in the list of a seed.
pub(crate) async fn seed(seed: &Seed) -> Result<()> {
    let peers = peers(seed.port);
    peers.catalog.counters().await.map_err(is_up)?;
    let products = goods::take_in(&peers, seed.seed, seed.products as usize).await?;
    let there = peers.catalog.counters().await.map_err(is_up)?.products;
    page::figure("products taken in", page::count(products.len() as u64));
    page::figure("products in the catalogue", page::count(there));
    page::next(&[("cargo run -p shop -- load", "send customers in")]);
    Ok(())
}

/// Every product of the shop, the most popular first: in the order of their ids, which is the
/// order of the supplier's list.
pub(crate) async fn on_sale(peers: &Peers) -> Result<Vec<ProductId>> {
    let mut products = Vec::new();
    for page in 1.. {
        let found = peers.catalog.products(&format!("size=100&page={page}")).await;
        let found = found.map_err(is_up).context("the catalogue cannot be read")?;
        products.extend(found.items.iter().map(|product| product.id));
        if found.items.is_empty() {
            break;
        }
    }
    products.sort_unstable();
    Ok(products)
}
