-- +goose Up
-- Nothing: SQLite compares all ids alike, so its indexes serve joins as they are. PostgreSQL needed further ones.
SELECT 1;
