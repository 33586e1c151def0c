-- What the dispatcher found out when it handed an event over: bits of event::Flag, and the states
-- that the event told of, as JSON, so that a start need not read bodies to know them.
ALTER TABLE delivery ADD COLUMN flags INTEGER NOT NULL DEFAULT 0;
ALTER TABLE delivery ADD COLUMN states TEXT;

-- Where the callback could be read: erasing a transaction goes by it.
ALTER TABLE refusal ADD COLUMN transaction_id TEXT;

-- Attempts that failed. The one that succeeds is in delivery alone, so that an event that is taken
-- at once costs no row here.
CREATE TABLE attempt (
    seq INTEGER NOT NULL, replay INTEGER NOT NULL, attempt INTEGER NOT NULL,
    ended_at INTEGER NOT NULL, error TEXT NOT NULL,
    PRIMARY KEY (seq, replay, attempt)
) STRICT, WITHOUT ROWID;
-- Counts them, and finds the oldest, which leave first.
CREATE INDEX attempt_ended ON attempt (ended_at);

-- How often an event came again; written a little later than its ACK, best effort.
CREATE TABLE repetition (
    seq INTEGER PRIMARY KEY, times INTEGER NOT NULL, last_at INTEGER NOT NULL
) STRICT;

-- What came of each seller in each quarter of an hour; best effort and bounded.
CREATE TABLE seller_tally (
    quarter INTEGER NOT NULL,       -- microseconds since 1970, UTC, of its beginning
    seller TEXT NOT NULL,           -- as in event; '' stands for those beyond the bound
    verified INTEGER NOT NULL,
    accepted INTEGER NOT NULL, duplicates INTEGER NOT NULL, refused INTEGER NOT NULL,
    untrusted INTEGER NOT NULL,     -- of the refused: by their signature
    oddities INTEGER NOT NULL, last_at INTEGER NOT NULL,
    PRIMARY KEY (quarter, seller)
) STRICT, WITHOUT ROWID;

-- Callbacks that the buyer app waits for.
CREATE TABLE expectation (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,  -- one that was withdrawn is not given again
    id BLOB NOT NULL UNIQUE,        -- a UUID v7, 16 bytes
    action TEXT NOT NULL, message_id TEXT NOT NULL,
    transaction_id TEXT, bap_id TEXT, bpp_id TEXT, domain TEXT,
    registered_at INTEGER NOT NULL, registered_by TEXT NOT NULL, due_at INTEGER NOT NULL,
    met_seq INTEGER, met_at INTEGER,
    silent_seq INTEGER              -- the event that told the handler of the silence
) STRICT;
-- Not on the way of an ACK: what is open is in memory, and a start reads it by this.
CREATE INDEX expectation_open ON expectation (due_at) WHERE met_seq IS NULL;
-- An event's expectation, and those of a transaction.
CREATE INDEX expectation_met ON expectation (met_seq) WHERE met_seq IS NOT NULL;
CREATE INDEX expectation_silent ON expectation (silent_seq) WHERE silent_seq IS NOT NULL;
-- Those that are over leave in this order.
CREATE INDEX expectation_over ON expectation (due_at)
    WHERE met_seq IS NOT NULL OR silent_seq IS NOT NULL;
CREATE INDEX expectation_transaction ON expectation (transaction_id);

-- Transactions whose bodies, texts and ids an operator wants to be emptied; the writer does it.
CREATE TABLE erase_request (
    transaction_id TEXT PRIMARY KEY, requested_at INTEGER NOT NULL,
    looked_at INTEGER               -- when its events were found unsettled: others go before it
) STRICT, WITHOUT ROWID;

-- What operators changed; bounded.
CREATE TABLE audit (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL, who TEXT NOT NULL, what TEXT NOT NULL, target TEXT NOT NULL
) STRICT;
