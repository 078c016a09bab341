-- The journal of the checkouts that are sagas: what sagas::journal promises of one, beside the
-- orders' rows, so that both change in one transaction.
CREATE TABLE saga (
    name TEXT NOT NULL,
    id TEXT NOT NULL,
    context TEXT NOT NULL,
    -- The highest fencing token that was shown, and how often somebody has claimed it.
    token BIGINT NOT NULL,
    claims BIGINT NOT NULL,
    -- How many entries it has.
    entries BIGINT NOT NULL,
    -- NULL while there is something to do; then completed, compensated or parked.
    outcome TEXT,
    begun_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    PRIMARY KEY (name, id)
);

-- Hold none of those that have ended.
CREATE INDEX saga_unfinished ON saga (name, id) WHERE outcome IS NULL;
CREATE INDEX saga_parked ON saga (name, changed_at) WHERE outcome = 'parked';

CREATE TABLE saga_entry (
    name TEXT NOT NULL,
    id TEXT NOT NULL,
    position BIGINT NOT NULL,
    token BIGINT NOT NULL,
    entry TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (name, id, position)
);

-- Who drives a saga, until when. The tokens are drawn from one number for all.
CREATE TABLE lease (
    name TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    until BIGINT NOT NULL
);

CREATE TABLE lease_token (last BIGINT NOT NULL);

INSERT INTO lease_token (last) VALUES (0);

-- For people who look: what was tried, and what came of it. Nothing is decided by it.
CREATE TABLE attempt (
    order_id TEXT NOT NULL,
    step TEXT NOT NULL,
    -- do, ask or undo.
    what TEXT NOT NULL,
    number BIGINT NOT NULL,
    began_at BIGINT NOT NULL,
    ended_at BIGINT NOT NULL,
    said TEXT NOT NULL
);

CREATE INDEX attempts_of_an_order ON attempt (order_id, began_at)
