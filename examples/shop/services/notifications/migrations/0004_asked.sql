-- Whether a request claimed the mail, and not an event. Then an event about the same order is no
-- second copy of anything, also where no inbox would notice one.
ALTER TABLE notifications ADD COLUMN asked BIGINT NOT NULL DEFAULT 0
