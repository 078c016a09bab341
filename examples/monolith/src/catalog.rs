//! What is for sale. Every question goes to the database, which is the only place there is.

use axum::Json;
use axum::extract::State;
use shop_contracts::catalog::{Browse, Category, Product};
use shop_contracts::id::ProductId;
use shop_contracts::page::Page;
use shop_contracts::{Kind, Money};
use shop_service::{Answer, Failure, Path, Query};
use shop_storage::sqlx::any::AnyRow;
use shop_storage::sqlx::{self, Row};

use crate::Monolith;

/// `GET /api/categories`
pub(crate) async fn categories(State(shop): State<Monolith>) -> Answer<Vec<Category>> {
    let rows: Vec<(String, String)> =
        sqlx::query_as("SELECT slug, name FROM categories ORDER BY slug")
            .fetch_all(shop.database.reader())
            .await?;
    Ok(Json(rows.into_iter().map(|(slug, name)| Category { slug, name }).collect()))
}

/// `GET /api/products`
pub(crate) async fn products(
    State(shop): State<Monolith>,
    Query(browse): Query<Browse>,
) -> Answer<Page<Product>> {
    let (page, size) = browse.page();
    let category = browse.category.as_ref().map_or("", |slug| slug.as_str());
    let sought = browse.q.as_ref().map_or_else(|| "%".to_owned(), |q| holding(q.as_str()));
    // An empty category is any: no slug is empty.
    let among = "FROM products WHERE ($1 = '' OR category = $1) AND sought LIKE $2 ESCAPE '!'";
    let total: i64 = sqlx::query_scalar(&format!("SELECT COUNT(*) {among}"))
        .bind(category)
        .bind(&sought)
        .fetch_one(shop.database.reader())
        .await?;
    let rows = sqlx::query(&format!("SELECT * {among} ORDER BY sought, id LIMIT $3 OFFSET $4"))
        .bind(category)
        .bind(&sought)
        .bind(i64::from(size))
        .bind(i64::from(page - 1) * i64::from(size))
        .fetch_all(shop.database.reader())
        .await?;
    let items = rows.iter().map(read).collect::<Result<_, _>>()?;
    Ok(Json(Page { items, total: total.unsigned_abs(), page, size }))
}

/// `GET /api/products/{id}`
pub(crate) async fn product(
    State(shop): State<Monolith>,
    Path(id): Path<ProductId>,
) -> Answer<Product> {
    let row = sqlx::query("SELECT * FROM products WHERE id = $1")
        .bind(id.to_string())
        .fetch_optional(shop.database.reader())
        .await?;
    Ok(Json(read(&row.ok_or_else(|| unknown(id))?)?))
}

/// For a product that is not in the catalogue.
pub(crate) fn unknown(id: ProductId) -> Failure {
    Failure::new(Kind::NotFound, format!("there is no product {id}"))
}

/// The pattern for texts that hold this one, in which `%` and `_` are what they look like.
fn holding(text: &str) -> String {
    let literal = text.replace('!', "!!").replace('%', "!%").replace('_', "!_");
    format!("%{literal}%")
}

fn read(row: &AnyRow) -> Result<Product, sqlx::Error> {
    Ok(Product {
        id: id(row, "id")?,
        category: row.try_get("category")?,
        name: row.try_get("name")?,
        description: row.try_get("description")?,
        price: Money::euros(row.try_get("price")?),
    })
}

/// The id in a column.
pub(crate) fn id<T>(row: &AnyRow, column: &str) -> Result<T, sqlx::Error>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    let text: String = row.try_get(column)?;
    text.parse().map_err(|error| sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: Box::new(error),
    })
}
