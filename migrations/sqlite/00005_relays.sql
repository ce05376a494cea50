-- +goose Up
-- How far each relay of the change feed is. What a relay has not delivered yet is kept longer, so remove the row of a relay that will
-- not come back; it begins again with the oldest change that is kept if it does.
CREATE TABLE {schema}_relays (
    name     TEXT PRIMARY KEY,
    seq      INTEGER NOT NULL, -- of the last change that it has delivered; 0 = none
    term     INTEGER NOT NULL, -- of the lease under which it was moved last: an older term cannot move it any more
    moved_at DATETIME NOT NULL,
    CONSTRAINT relays_seq_counts CHECK (seq >= 0)
);
