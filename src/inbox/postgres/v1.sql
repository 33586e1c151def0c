-- Numbers and the secret of the inbox, by name.
CREATE TABLE meta (name text PRIMARY KEY, number bigint, secret bytea);

-- Places in the log. They are given under a lock that is held until the commit, so that who has
-- read up to a place has missed nothing before it.
CREATE SEQUENCE place AS bigint;

-- Numbers of claims.
CREATE SEQUENCE fence AS bigint;

-- The bodies, byte for byte as they came, in the row itself up to some 8 kB.
CREATE TABLE body (seq bigint PRIMARY KEY, body bytea NOT NULL)
    WITH (toast_tuple_target = 8160);
ALTER TABLE body ALTER COLUMN body SET STORAGE EXTERNAL;

-- What lists and duplicates need of an event without its body.
CREATE TABLE event (
    seq bigint PRIMARY KEY,
    id bytea NOT NULL,              -- a UUID v7, 16 bytes
    action text NOT NULL,
    seller text NOT NULL,           -- the verified subscriber, or 'unverified:' and the bpp_id
    verified boolean NOT NULL,
    bap_id text, transaction_id text, message_id text, domain text,
    order_id text, state text,
    received_at bigint NOT NULL,    -- microseconds since 1970, UTC
    flags integer NOT NULL,         -- one bit each
    warnings text,                  -- JSON, NULL for none
    body_print bytea NOT NULL,      -- 128-bit fingerprints under the inbox's secret
    ids_print bytea,                -- NULL: without a transaction or message id
    content_print bytea NOT NULL,
    lane bigint NOT NULL,           -- a fingerprint of seller and transaction
    standing integer NOT NULL       -- 0: to be delivered, 1: rejected
);
-- What is delivered is in the log once.
CREATE UNIQUE INDEX event_delivered ON event (body_print) WHERE standing = 0;
CREATE INDEX event_rejected ON event (body_print) WHERE standing = 1;
CREATE INDEX event_ids ON event (ids_print, seq) WHERE ids_print IS NOT NULL;

-- What became of an event; no row: no attempt has ended yet.
CREATE TABLE delivery (
    seq bigint PRIMARY KEY,
    replay integer NOT NULL,        -- the round: 0 for the arrival, then the number of the replay
    state integer NOT NULL,         -- 0 pending, 1 done, 2 dead
    attempts integer NOT NULL,      -- of this round, those that have ended
    first_attempt_at bigint,        -- of this round
    next_at bigint,                 -- of a pending event: not before
    marks integer NOT NULL,         -- how often a receiver may have ended while it was out
    error text,                     -- of the last attempt that failed
    settled_at bigint,
    flags integer NOT NULL DEFAULT 0,
    states text
);

-- Events that are not settled.
CREATE TABLE pending (
    seq bigint PRIMARY KEY,
    lane bigint NOT NULL,
    handler text NOT NULL
);
CREATE INDEX pending_lane ON pending (lane, seq);

-- One row a lane: whose turn it is, and who has it out. A claim is of a lane, so that no two
-- receivers ever have two events of one.
CREATE TABLE lane (
    key bigint PRIMARY KEY,
    head bigint,                    -- the first event that is not settled
    handler text,                   -- whom that is for
    due_at bigint,                  -- microseconds since 1970: not before; NULL: at once
    owner bytea,                    -- the receiver that has it out
    lease_until timestamptz,        -- by the database's clock
    fence bigint NOT NULL DEFAULT 0 -- another at each claim: an older one settles nothing
) WITH (fillfactor = 70);
CREATE INDEX lane_ready ON lane (handler, head) WHERE head IS NOT NULL AND due_at IS NULL;
CREATE INDEX lane_waits ON lane (handler, due_at) WHERE due_at IS NOT NULL;

-- Attempts that failed.
CREATE TABLE attempt (
    seq bigint NOT NULL, replay integer NOT NULL, attempt integer NOT NULL,
    ended_at bigint NOT NULL, error text NOT NULL,
    PRIMARY KEY (seq, replay, attempt)
);
CREATE INDEX attempt_ended ON attempt (ended_at);

-- Callbacks that were refused; best effort and bounded.
CREATE TABLE refusal (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at bigint NOT NULL, route text NOT NULL, seller text NOT NULL, verified boolean NOT NULL,
    cause text NOT NULL, path text NOT NULL, message text NOT NULL, status integer NOT NULL,
    body bytea NOT NULL, body_bytes bigint NOT NULL, transaction_id text
);
CREATE INDEX refusal_quota ON refusal (seller, cause, seq);
CREATE INDEX refusal_room ON refusal (verified, seq);

-- How many callbacks were refused since the inbox was made, also those that were not kept.
CREATE TABLE refusal_count (
    route text NOT NULL, cause text NOT NULL, refused bigint NOT NULL,
    PRIMARY KEY (route, cause)
);

-- Keeps a batch of callbacks, of which no two have the same fingerprint of bytes or of ids. Returns
-- for each the event that it repeats, or its own place and flags.
CREATE FUNCTION append(
    p_ids bytea[], p_actions text[], p_sellers text[], p_verified boolean[], p_bap_ids text[],
    p_transaction_ids text[], p_message_ids text[], p_domains text[], p_order_ids text[],
    p_states text[], p_received_at bigint[], p_flags integer[], p_warnings text[], p_bodies bytea[],
    p_body_prints bytea[], p_ids_prints bytea[], p_content_prints bytea[], p_lanes bigint[],
    p_standings integer[], p_handlers text[], p_id_reused integer
) RETURNS TABLE (n bigint, original bytea, seq bigint, flags integer)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    -- One batch after the other, whoever brings it, until its commit: places are given in the order
    -- of the commits, and what a batch does not see is not there. The next statement looks anew.
    PERFORM pg_advisory_xact_lock('event'::regclass::oid::integer, 1);
    RETURN QUERY
    WITH input AS (
        SELECT * FROM unnest(
            p_ids, p_actions, p_sellers, p_verified, p_bap_ids, p_transaction_ids, p_message_ids,
            p_domains, p_order_ids, p_states, p_received_at, p_flags, p_warnings, p_bodies,
            p_body_prints, p_ids_prints, p_content_prints, p_lanes, p_standings, p_handlers
        ) WITH ORDINALITY AS i (
            id, action, seller, verified, bap_id, transaction_id, message_id, domain, order_id,
            state, received_at, flags, warnings, body, body_print, ids_print, content_print, lane,
            standing, handler, n)
    ), known AS (
        SELECT i.n,
            -- What was rejected was never delivered: what is accepted now must be.
            coalesce(delivered.id, rejected.id, CASE
                WHEN latest.content_print = i.content_print AND (i.standing = 1 OR latest.standing = 0)
                THEN latest.id END) AS original,
            latest.content_print <> i.content_print AS reused
        FROM input i
        LEFT JOIN event delivered
            ON delivered.body_print = i.body_print AND delivered.standing = 0
        LEFT JOIN LATERAL (
            SELECT e.id FROM event e
            WHERE e.body_print = i.body_print AND e.standing = 1 AND i.standing = 1 LIMIT 1
        ) rejected ON true
        LEFT JOIN LATERAL (
            SELECT e.id, e.content_print, e.standing FROM event e
            WHERE e.ids_print = i.ids_print ORDER BY e.seq DESC LIMIT 1
        ) latest ON true
    ), fresh AS (
        INSERT INTO event (
            seq, id, action, seller, verified, bap_id, transaction_id, message_id, domain, order_id,
            state, received_at, flags, warnings, body_print, ids_print, content_print, lane, standing)
        SELECT nextval('place'), new.* FROM (
            SELECT i.id, i.action, i.seller, i.verified, i.bap_id, i.transaction_id, i.message_id,
                i.domain, i.order_id, i.state, i.received_at,
                i.flags | CASE WHEN k.reused THEN p_id_reused ELSE 0 END, i.warnings, i.body_print,
                i.ids_print, i.content_print, i.lane, i.standing
            FROM input i JOIN known k USING (n) WHERE k.original IS NULL ORDER BY i.n
        ) new
        RETURNING event.seq, event.id, event.lane, event.flags, event.standing
    ), kept AS (
        INSERT INTO body SELECT f.seq, i.body FROM fresh f JOIN input i USING (id)
    ), queued AS (
        INSERT INTO pending
        SELECT f.seq, f.lane, i.handler FROM fresh f JOIN input i USING (id) WHERE f.standing = 0
    ), due AS (
        -- Also where another event is first: its settlement has to see this one.
        INSERT INTO lane AS l (key, head, handler)
        SELECT DISTINCT ON (f.lane) f.lane, f.seq, i.handler
        FROM fresh f JOIN input i USING (id) WHERE f.standing = 0 ORDER BY f.lane, f.seq
        ON CONFLICT (key) DO UPDATE SET
            handler = CASE WHEN l.head IS NULL THEN excluded.handler ELSE l.handler END,
            due_at = CASE WHEN l.head IS NULL THEN NULL ELSE l.due_at END,
            head = coalesce(l.head, excluded.head)
    )
    SELECT k.n, k.original, f.seq, f.flags
    FROM known k JOIN input i USING (n) LEFT JOIN fresh f USING (id);
END $$;

-- Writes what became of claims; those that another receiver has taken over change nothing. Returns
-- the lanes of the others.
CREATE FUNCTION settle(
    p_lanes bigint[], p_fences bigint[], p_seqs bigint[], p_writes boolean[], p_replays integer[],
    p_states integer[], p_attempts integer[], p_first_attempts_at bigint[], p_next_at bigint[],
    p_errors text[], p_failed_at bigint[], p_settled_at bigint[], p_flags integer[], p_found text[]
) RETURNS SETOF bigint
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    -- In one order, as an append does it. The next statement sees what was appended until then.
    PERFORM 1 FROM lane WHERE key = ANY (p_lanes) ORDER BY key FOR NO KEY UPDATE;
    RETURN QUERY
    WITH held AS (
        SELECT i.* FROM unnest(
            p_lanes, p_fences, p_seqs, p_writes, p_replays, p_states, p_attempts,
            p_first_attempts_at, p_next_at, p_errors, p_failed_at, p_settled_at, p_flags, p_found
        ) AS i (
            lane, fence, seq, writes, replay, state, attempts, first_attempt_at, next_at, error,
            failed_at, settled_at, flags, states)
        JOIN lane l ON l.key = i.lane AND l.fence = i.fence AND l.head = i.seq
            AND l.owner IS NOT NULL
    ), written AS (
        INSERT INTO delivery AS d (
            seq, replay, state, attempts, first_attempt_at, next_at, marks, error, settled_at, flags,
            states)
        SELECT seq, replay, state, attempts, first_attempt_at, next_at, 0, error, settled_at, flags,
            states
        FROM held WHERE writes
        ON CONFLICT (seq) DO UPDATE SET
            replay = excluded.replay, state = excluded.state, attempts = excluded.attempts,
            first_attempt_at = excluded.first_attempt_at, next_at = excluded.next_at, marks = 0,
            error = CASE WHEN excluded.state = 0 THEN coalesce(excluded.error, d.error)
                ELSE excluded.error END,
            settled_at = excluded.settled_at, flags = d.flags | excluded.flags,
            states = coalesce(excluded.states, d.states)
    ), failed AS (
        INSERT INTO attempt (seq, replay, attempt, ended_at, error)
        SELECT seq, replay, attempts, failed_at, left(error, 1024)
        FROM held WHERE writes AND failed_at IS NOT NULL AND attempts > 0
        ON CONFLICT DO NOTHING
    ), gone AS (
        DELETE FROM pending p USING held h WHERE p.seq = h.seq AND h.state <> 0
    ), freed AS (
        UPDATE lane l SET owner = NULL, lease_until = NULL, head = next.seq, handler = next.handler,
            due_at = CASE WHEN next.seq = h.seq THEN coalesce(h.next_at, l.due_at) END
        FROM held h LEFT JOIN LATERAL (
            SELECT p.seq, p.handler FROM pending p
            WHERE p.lane = h.lane AND (h.state = 0 OR p.seq <> h.seq) ORDER BY p.seq LIMIT 1
        ) next ON true
        WHERE l.key = h.lane
    )
    SELECT lane FROM held;
END $$;
