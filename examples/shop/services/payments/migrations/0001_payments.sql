CREATE TABLE payments (
    order_id TEXT PRIMARY KEY,
    -- Both are unknown where the payment was over before it was asked for.
    customer TEXT,
    amount BIGINT CHECK (amount > 0),
    state TEXT NOT NULL
        CHECK (state IN ('pending', 'charged', 'declined', 'refunded', 'void')),
    -- The provider's name for it.
    reference TEXT,
    -- Why the provider said no.
    reason TEXT,
    asked_at BIGINT NOT NULL,
    -- Since when nothing may be charged any more.
    over_since BIGINT
)
