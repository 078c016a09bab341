CREATE TABLE carts (
    customer TEXT PRIMARY KEY,
    changed_at BIGINT NOT NULL
);

CREATE TABLE lines (
    customer TEXT NOT NULL REFERENCES carts (customer) ON DELETE CASCADE,
    product TEXT NOT NULL,
    quantity BIGINT NOT NULL CHECK (quantity >= 1),
    PRIMARY KEY (customer, product)
);
