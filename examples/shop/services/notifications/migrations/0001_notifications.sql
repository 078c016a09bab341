CREATE TABLE notifications (
    order_id TEXT PRIMARY KEY,
    customer TEXT NOT NULL,
    total BIGINT NOT NULL,
    currency TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'sent', 'failed')),
    changed_at BIGINT NOT NULL
);
