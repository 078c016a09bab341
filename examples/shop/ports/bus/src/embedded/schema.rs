//! The tables. A dead-letter queue is a queue like others, named `<queue>.dlq`; what lies in it has
//! a reason.

use shop_storage::Migration;

pub(super) const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    description: "queues",
    sql: "
        CREATE TABLE queues (
            name TEXT PRIMARY KEY,
            deliveries BIGINT NOT NULL
        );
        CREATE TABLE bindings (
            queue TEXT NOT NULL REFERENCES queues (name),
            pattern TEXT NOT NULL,
            PRIMARY KEY (queue, pattern)
        );
        -- Counts publishings, each message's number being one of them, and whatever else a waiting
        -- consumer may want to know of. The row is locked until its transaction ends, so numbers
        -- become visible in their order; an identity column would hand them out in order, and let
        -- readers see 8 before 7.
        CREATE TABLE changes (
            last BIGINT NOT NULL
        );
        INSERT INTO changes (last) VALUES (0);
        -- One row for each queue that has the message.
        CREATE TABLE messages (
            queue TEXT NOT NULL,
            number BIGINT NOT NULL,
            body TEXT NOT NULL,
            attempts BIGINT NOT NULL,
            holder TEXT,
            reason TEXT,
            died_at BIGINT,
            PRIMARY KEY (queue, number)
        );
        -- Few are held at a time: whoever asks for them must not walk through all that wait.
        CREATE INDEX held ON messages (queue, holder) WHERE holder IS NOT NULL",
}];
