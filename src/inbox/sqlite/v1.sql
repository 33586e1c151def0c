-- Numbers and the secret of the inbox, by name.
CREATE TABLE meta (name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;

-- The bodies, byte for byte as they came. Inserted, never updated.
CREATE TABLE body (seq INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;

-- What lists and duplicates need of an event without its body. Inserted, never updated.
CREATE TABLE event (
    seq INTEGER PRIMARY KEY,
    id BLOB NOT NULL,               -- a UUID v7, 16 bytes
    action TEXT NOT NULL,
    seller TEXT NOT NULL,           -- the verified subscriber, or 'unverified:' and the bpp_id
    verified INTEGER NOT NULL,
    bap_id TEXT, transaction_id TEXT, message_id TEXT,
    order_id TEXT, state TEXT,
    received_at INTEGER NOT NULL,   -- microseconds since 1970, UTC
    flags INTEGER NOT NULL,         -- one bit each, see event::Flag
    warnings TEXT,                  -- JSON, NULL for none
    message_start INTEGER, message_end INTEGER,  -- where the content lies in the body
    error_start INTEGER, error_end INTEGER,
    body_print BLOB NOT NULL,       -- 128-bit fingerprints under the inbox's secret
    ids_print BLOB,                 -- NULL: without a transaction or message id
    content_print BLOB NOT NULL,
    lane INTEGER NOT NULL,          -- a fingerprint of seller and transaction
    standing INTEGER NOT NULL       -- 0: to be delivered, 1: rejected
) STRICT;

-- What became of an event; no row: no attempt has ended yet.
CREATE TABLE delivery (
    seq INTEGER PRIMARY KEY,
    replay INTEGER NOT NULL,        -- the round: 0 for the arrival, then the number of the replay
    state INTEGER NOT NULL,         -- 0 pending, 1 done, 2 dead
    attempts INTEGER NOT NULL,      -- of this round, those that have ended
    first_attempt_at INTEGER,       -- of this round
    next_at INTEGER,                -- of a pending event: not before
    marks INTEGER NOT NULL,         -- how often the process may have ended while it was out
    error TEXT,                     -- of the last attempt that failed
    settled_at INTEGER
) STRICT;

-- Replays that are not settled: what a start must look at below the low-water mark.
CREATE TABLE open_replay (seq INTEGER PRIMARY KEY) STRICT;

-- Events that an operator wants to be delivered again; the writer takes the rows up.
CREATE TABLE replay_request (seq INTEGER PRIMARY KEY, requested_at INTEGER NOT NULL) STRICT;

-- The duplicate window, 40 bytes an event, so that a start need not read a million rows.
CREATE TABLE window_pack (
    first_seq INTEGER PRIMARY KEY, last_seq INTEGER NOT NULL,
    newest_at INTEGER NOT NULL, entries BLOB NOT NULL
) STRICT;

-- Callbacks that were refused; best effort and bounded.
CREATE TABLE refusal (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL, route TEXT NOT NULL, seller TEXT NOT NULL, verified INTEGER NOT NULL,
    cause TEXT NOT NULL, path TEXT NOT NULL, message TEXT NOT NULL, status INTEGER NOT NULL,
    body BLOB NOT NULL, body_bytes INTEGER NOT NULL
) STRICT;
-- Not on the way of an ACK: what keeps the quotas cheap under a flood of refusals.
CREATE INDEX refusal_quota ON refusal (seller, cause, seq);
CREATE INDEX refusal_room ON refusal (verified, seq);

-- How many callbacks were refused since the inbox was made, also those that were not kept.
CREATE TABLE refusal_count (
    route TEXT NOT NULL, cause TEXT NOT NULL, refused INTEGER NOT NULL,
    PRIMARY KEY (route, cause)
) STRICT, WITHOUT ROWID;
