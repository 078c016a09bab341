CREATE TABLE stock (
    product TEXT PRIMARY KEY,
    delivered BIGINT NOT NULL,
    available BIGINT NOT NULL CHECK (available >= 0),
    reserved BIGINT NOT NULL CHECK (reserved >= 0),
    sold BIGINT NOT NULL CHECK (sold >= 0)
);

CREATE TABLE reservations (
    order_id TEXT PRIMARY KEY,
    state TEXT NOT NULL CHECK (state IN ('held', 'sold', 'released')),
    changed_at BIGINT NOT NULL
);

CREATE TABLE reserved (
    order_id TEXT NOT NULL REFERENCES reservations (order_id),
    product TEXT NOT NULL REFERENCES stock (product),
    quantity BIGINT NOT NULL CHECK (quantity >= 1),
    PRIMARY KEY (order_id, product)
);
