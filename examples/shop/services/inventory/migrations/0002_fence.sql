-- The highest fencing token of a lease under which somebody has looked at the row.
ALTER TABLE stock ADD COLUMN fence BIGINT NOT NULL DEFAULT 0;
