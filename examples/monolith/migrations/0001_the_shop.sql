-- The whole shop in one database. Its parts refer to each other, and the database holds them to it.
--
-- Ids are UUIDs as text, times are microseconds since 1970 (UTC), money is cents.

CREATE TABLE users (
    id          TEXT PRIMARY KEY,
    email       TEXT NOT NULL UNIQUE,
    name        TEXT NOT NULL,
    password    TEXT NOT NULL,
    joined_at   BIGINT NOT NULL
);

CREATE TABLE categories (
    slug        TEXT PRIMARY KEY,
    name        TEXT NOT NULL
);

CREATE TABLE products (
    id          TEXT PRIMARY KEY,
    category    TEXT NOT NULL REFERENCES categories (slug),
    name        TEXT NOT NULL,
    -- The name in lower case, made by the program: SQLite's LOWER knows ASCII only.
    sought      TEXT NOT NULL,
    description TEXT NOT NULL,
    price       BIGINT NOT NULL CHECK (price > 0)
);

CREATE INDEX products_by_name ON products (sought, id);
CREATE INDEX products_by_category ON products (category, sought, id);

CREATE TABLE inventory (
    product     TEXT PRIMARY KEY REFERENCES products (id),
    available   BIGINT NOT NULL CHECK (available >= 0)
);

-- One for each customer, made with the account. Whoever changes a cart locks its row here.
CREATE TABLE carts (
    customer    TEXT PRIMARY KEY REFERENCES users (id)
);

CREATE TABLE cart_items (
    customer    TEXT NOT NULL REFERENCES carts (customer),
    product     TEXT NOT NULL REFERENCES products (id),
    quantity    BIGINT NOT NULL CHECK (quantity BETWEEN 1 AND 99),
    PRIMARY KEY (customer, product)
);

-- No column says how far an order is: whoever can see one sees a confirmed one.
CREATE TABLE orders (
    id          TEXT PRIMARY KEY,
    customer    TEXT NOT NULL REFERENCES users (id),
    total       BIGINT NOT NULL CHECK (total > 0),
    placed_at   BIGINT NOT NULL,
    -- How long it took, in microseconds: until the stock was locked and taken, the payment
    -- provider, the mail server, and the whole.
    reserving   BIGINT,
    paying      BIGINT,
    notifying   BIGINT,
    confirmed   BIGINT
);

CREATE INDEX orders_by_customer ON orders (customer, placed_at);

-- Name and price as they were on that day.
CREATE TABLE order_lines (
    order_id    TEXT NOT NULL REFERENCES orders (id),
    product     TEXT NOT NULL REFERENCES products (id),
    name        TEXT NOT NULL,
    quantity    BIGINT NOT NULL CHECK (quantity BETWEEN 1 AND 99),
    price       BIGINT NOT NULL CHECK (price > 0),
    PRIMARY KEY (order_id, product)
);

CREATE TABLE payments (
    order_id    TEXT PRIMARY KEY REFERENCES orders (id),
    amount      BIGINT NOT NULL CHECK (amount > 0),
    -- The provider's name for it.
    reference   TEXT NOT NULL UNIQUE,
    charged_at  BIGINT NOT NULL
);

CREATE TABLE reviews (
    product     TEXT NOT NULL REFERENCES products (id),
    customer    TEXT NOT NULL REFERENCES users (id),
    stars       BIGINT NOT NULL CHECK (stars BETWEEN 1 AND 5),
    words       TEXT NOT NULL,
    written_at  BIGINT NOT NULL,
    PRIMARY KEY (product, customer)
);

CREATE TABLE notifications (
    order_id    TEXT PRIMARY KEY REFERENCES orders (id),
    mailbox     TEXT NOT NULL,
    sent_at     BIGINT NOT NULL
)
