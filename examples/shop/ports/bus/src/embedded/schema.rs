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
        -- Counts what was published. The row is locked until its message is committed, so numbers
        -- become visible in their order; an identity column would hand them out in order, and let
        -- readers see 8 before 7.
        CREATE TABLE published (
            last BIGINT NOT NULL
        );
        INSERT INTO published (last) VALUES (0);
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
        )",
}];
