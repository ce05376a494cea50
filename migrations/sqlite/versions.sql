-- Which migrations this database has. The column made_by is how clerksync knows its own table from another tool's.
CREATE TABLE IF NOT EXISTS {schema}_migrations (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    version_id INTEGER NOT NULL UNIQUE,
    is_applied BOOLEAN NOT NULL,
    tstamp     DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    made_by    TEXT NOT NULL DEFAULT 'clerksync'
);

INSERT INTO {schema}_migrations (version_id, is_applied) VALUES (0, true) ON CONFLICT (version_id) DO NOTHING;
