CREATE TABLE categories (
  slug TEXT PRIMARY KEY,
  name TEXT NOT NULL
);

CREATE TABLE products (
  id TEXT PRIMARY KEY,
  category TEXT NOT NULL REFERENCES categories (slug),
  name TEXT NOT NULL,
  -- The name in lower case. The two databases disagree on what the lower case of a letter beyond
  -- ASCII is, so the program decides.
  search TEXT NOT NULL,
  description TEXT NOT NULL,
  price BIGINT NOT NULL CHECK (price > 0)
);

CREATE INDEX products_by_name ON products (search, id);
CREATE INDEX products_by_category ON products (category, search, id);
