CREATE TABLE orders (
    id TEXT PRIMARY KEY,
    customer TEXT NOT NULL,
    -- The customer's name for the wish that led to this order: the idempotency key.
    wish TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'stock_reserved', 'paid', 'confirmed',
        'rejected', 'cancelling', 'cancelled')),
    total BIGINT NOT NULL CHECK (total > 0),
    -- As what it was refused, and why.
    refusal TEXT,
    reason TEXT,
    placed_at BIGINT NOT NULL,
    -- How long the steps took, in microseconds.
    reserving BIGINT,
    paying BIGINT,
    confirmed BIGINT,
    notifying BIGINT,
    UNIQUE (customer, wish)
);

CREATE INDEX orders_of_a_customer ON orders (customer, placed_at);

CREATE TABLE order_lines (
    order_id TEXT NOT NULL REFERENCES orders (id),
    product TEXT NOT NULL,
    name TEXT NOT NULL,
    quantity BIGINT NOT NULL CHECK (quantity > 0),
    price BIGINT NOT NULL CHECK (price > 0),
    PRIMARY KEY (order_id, product)
)
