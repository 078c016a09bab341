//! The catalogue's SQL.

use shop_contracts::Money;
use shop_contracts::catalog::{Browse, Category, List, Product, Quote};
use shop_contracts::id::ProductId;
use shop_contracts::page::Page;
use shop_storage::sqlx::any::AnyRow;
use shop_storage::sqlx::{self, Row};
use shop_storage::{Database, Error};

type Result<T> = std::result::Result<T, Error>;

const COLUMNS: &str = "id, category, name, description, price";

fn read(row: &AnyRow) -> Result<Product> {
    let id: String = row.try_get(0)?;
    Ok(Product {
        id: id.parse().map_err(|error| Error::Defect(sqlx::Error::Decode(Box::new(error))))?,
        category: row.try_get(1)?,
        name: row.try_get(2)?,
        description: row.try_get(3)?,
        price: Money::euros(row.try_get(4)?),
    })
}

pub(crate) async fn product(database: &Database, id: ProductId) -> Result<Option<Product>> {
    let row = sqlx::query(&format!("SELECT {COLUMNS} FROM products WHERE id = $1"))
        .bind(id.to_string())
        .fetch_optional(database.reader())
        .await?;
    row.as_ref().map(read).transpose()
}

pub(crate) async fn categories(database: &Database) -> Result<Vec<Category>> {
    let rows: Vec<(String, String)> =
        sqlx::query_as("SELECT slug, name FROM categories ORDER BY name")
            .fetch_all(database.reader())
            .await?;
    Ok(rows.into_iter().map(|(slug, name)| Category { slug, name }).collect())
}

pub(crate) async fn count(database: &Database) -> Result<u64> {
    let count: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM products").fetch_one(database.reader()).await?;
    Ok(count.unsigned_abs())
}

pub(crate) async fn browse(database: &Database, browse: &Browse) -> Result<Page<Product>> {
    // What was not asked for is the empty text, which every product passes.
    const WHERE: &str = "($1 = '' OR category = $1) AND ($2 = '' OR search LIKE $2 ESCAPE '!')";
    let category = browse.category.as_ref().map_or("", |category| category.as_str());
    let search = browse.q.as_ref().map_or(String::new(), |q| format!("%{}%", escape(q.as_str())));
    let (page, size) = browse.page();
    let total: i64 = sqlx::query_scalar(&format!("SELECT COUNT(*) FROM products WHERE {WHERE}"))
        .bind(category)
        .bind(search.as_str())
        .fetch_one(database.reader())
        .await?;
    let rows = sqlx::query(&format!(
        "SELECT {COLUMNS} FROM products WHERE {WHERE} ORDER BY search, id LIMIT $3 OFFSET $4"
    ))
    .bind(category)
    .bind(search.as_str())
    .bind(i64::from(size))
    .bind(i64::from(page - 1) * i64::from(size))
    .fetch_all(database.reader())
    .await?;
    let items = rows.iter().map(read).collect::<Result<_>>()?;
    Ok(Page { items, total: total.unsigned_abs(), page, size })
}

/// `%` and `_` are wildcards to `LIKE`, and letters to who looks for them.
fn escape(search: &str) -> String {
    search.replace('!', "!!").replace('%', "!%").replace('_', "!_")
}

pub(crate) async fn quotes(database: &Database, ids: &[ProductId]) -> Result<Vec<Quote>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let places = places(ids.len(), 1);
    let statement = format!("SELECT id, name, price FROM products WHERE id IN ({places})");
    let mut query = sqlx::query_as::<_, (String, String, i64)>(&statement);
    for id in ids {
        query = query.bind(id.to_string());
    }
    let rows = query.fetch_all(database.reader()).await?;
    rows.into_iter()
        .map(|(id, name, price)| {
            let product =
                id.parse().map_err(|error| Error::Defect(sqlx::Error::Decode(Box::new(error))))?;
            Ok(Quote { product, name, price: Money::euros(price) })
        })
        .collect()
}

/// Sets a price, and gives the product as it is now, if there is one.
pub(crate) async fn set_price(
    database: &Database,
    id: ProductId,
    price: Money,
) -> Result<Option<Product>> {
    let mut change = database.begin().await?;
    sqlx::query("UPDATE products SET price = $1 WHERE id = $2")
        .bind(price.amount)
        .bind(id.to_string())
        .execute(&mut *change)
        .await?;
    let row = sqlx::query(&format!("SELECT {COLUMNS} FROM products WHERE id = $1"))
        .bind(id.to_string())
        .fetch_optional(&mut *change)
        .await?;
    change.commit().await?;
    row.as_ref().map(read).transpose()
}

/// How many rows go into one statement: PostgreSQL takes 65,535 parameters, SQLite half of that.
const ROWS: usize = 200;

/// Takes in a list: all of it or nothing.
pub(crate) async fn take_in(database: &Database, list: &List) -> Result<()> {
    let mut change = database.begin().await?;
    for category in &list.categories {
        sqlx::query(
            "INSERT INTO categories (slug, name) VALUES ($1, $2)
             ON CONFLICT (slug) DO UPDATE SET name = excluded.name",
        )
        .bind(category.slug.as_str())
        .bind(category.name.as_str())
        .execute(&mut *change)
        .await?;
    }
    for products in list.products.chunks(ROWS) {
        let rows: Vec<_> =
            (0..products.len()).map(|row| format!("({})", places(6, row * 6 + 1))).collect();
        let statement = format!(
            "INSERT INTO products (id, category, name, search, description, price) VALUES {}
             ON CONFLICT (id) DO UPDATE SET category = excluded.category, name = excluded.name,
               search = excluded.search, description = excluded.description,
               price = excluded.price",
            rows.join(", ")
        );
        let mut query = sqlx::query(&statement);
        for product in products {
            query = query
                .bind(product.id.to_string())
                .bind(product.category.as_str())
                .bind(product.name.as_str())
                .bind(product.name.to_lowercase())
                .bind(product.description.as_str())
                .bind(product.price.amount);
        }
        query.execute(&mut *change).await?;
    }
    change.commit().await?;
    Ok(())
}

/// `$3, $4, $5` for three places from the third.
fn places(count: usize, from: usize) -> String {
    let places: Vec<_> = (from..from + count).map(|place| format!("${place}")).collect();
    places.join(", ")
}
