-- Numbers and the secret of the inbox, by name.
CREATE TABLE meta (name text PRIMARY KEY, number bigint, secret bytea);

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
    verified integer NOT NULL,      -- 0, 1
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
-- By a hash, for an id may be longer than an index takes.
CREATE INDEX event_message ON event (hashtextextended(message_id, 0));
CREATE INDEX event_transaction ON event (hashtextextended(transaction_id, 0));
-- Operators name an event by its id.
CREATE UNIQUE INDEX event_id ON event (id);

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

CREATE INDEX delivery_dead ON delivery (seq) WHERE state = 2;

-- Events that are not settled.
CREATE TABLE pending (
    seq bigint PRIMARY KEY,
    lane bigint NOT NULL,
    handler text NOT NULL
);
CREATE INDEX pending_lane ON pending (lane, seq);

-- One row a lane that has something to hand over: whose turn it is, and who has it out. A claim is
-- of a lane, so that no two receivers ever have two events of one.
CREATE TABLE lane (
    key bigint PRIMARY KEY,
    head bigint NOT NULL,           -- whose turn it is
    handler text NOT NULL,          -- whom that is for
    due_at bigint,                  -- microseconds since 1970: not before; NULL: at once
    owner bytea,                    -- the receiver that has it out
    lease_until timestamptz,        -- by the database's clock
    fence bigint                    -- another at each claim: an older one settles nothing
) WITH (fillfactor = 70);
CREATE INDEX lane_ready ON lane (handler, head) WHERE due_at IS NULL;
CREATE INDEX lane_waits ON lane (handler, due_at) WHERE due_at IS NOT NULL;

-- Events that an operator wants to be delivered again; the receivers take the rows up.
CREATE TABLE replay_request (seq bigint PRIMARY KEY, requested_at bigint NOT NULL);

-- The handlers that the last start named, and those that an operator has paused.
CREATE TABLE handler (name text PRIMARY KEY, paused_at bigint);

-- How often an event came again; written a little later than its ACK, best effort.
CREATE TABLE repetition (seq bigint PRIMARY KEY, times bigint NOT NULL, last_at bigint NOT NULL);

-- What came of each seller in each quarter of an hour; best effort and bounded.
CREATE TABLE seller_tally (
    quarter bigint NOT NULL,        -- microseconds since 1970, UTC, of its beginning
    seller text NOT NULL,           -- as in event; '' stands for those beyond the bound
    verified integer NOT NULL,
    accepted bigint NOT NULL, duplicates bigint NOT NULL, refused bigint NOT NULL,
    untrusted bigint NOT NULL,      -- of the refused: by their signature
    oddities bigint NOT NULL, last_at bigint NOT NULL,
    PRIMARY KEY (quarter, seller)
);

-- Callbacks that the buyer app waits for.
CREATE TABLE expectation (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id bytea NOT NULL UNIQUE,       -- a UUID v7, 16 bytes
    action text NOT NULL, message_id text NOT NULL,
    transaction_id text, bap_id text, bpp_id text, domain text,
    registered_at bigint NOT NULL, registered_by text NOT NULL, due_at bigint NOT NULL,
    met_seq bigint, met_at bigint,
    silent_seq bigint               -- the event that told the handler of the silence
);
CREATE INDEX expectation_waits ON expectation (hashtextextended(message_id, 0))
    WHERE met_seq IS NULL;
CREATE INDEX expectation_open ON expectation (due_at) WHERE met_seq IS NULL AND silent_seq IS NULL;
CREATE INDEX expectation_met ON expectation (met_seq) WHERE met_seq IS NOT NULL;
CREATE INDEX expectation_silent ON expectation (silent_seq) WHERE silent_seq IS NOT NULL;
CREATE INDEX expectation_over ON expectation (due_at)
    WHERE met_seq IS NOT NULL OR silent_seq IS NOT NULL;
CREATE INDEX expectation_transaction ON expectation (hashtextextended(transaction_id, 0));

-- Transactions whose bodies, texts and ids an operator wants to be emptied; a receiver does it.
CREATE TABLE erase_request (
    transaction_id text NOT NULL, requested_at bigint NOT NULL,
    looked_at bigint                -- when its events were found unsettled: others go before it
);
CREATE UNIQUE INDEX erase_request_once ON erase_request
    (hashtextextended(transaction_id, 0), hashtextextended(transaction_id, 1));

-- What operators changed; bounded.
CREATE TABLE audit (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at bigint NOT NULL, who text NOT NULL, what text NOT NULL, target text NOT NULL
);

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
    at bigint NOT NULL, route text NOT NULL, seller text NOT NULL, verified integer NOT NULL,
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

-- What SQLite has, too: with it a statement of those who read the inbox is the same for both.
CREATE FUNCTION json_array_length(text) RETURNS integer LANGUAGE sql IMMUTABLE
    AS 'SELECT json_array_length(CAST($1 AS json))';
CREATE FUNCTION json_each(text) RETURNS TABLE (value bigint) LANGUAGE sql IMMUTABLE
    AS 'SELECT CAST(one AS bigint) FROM json_array_elements_text(CAST($1 AS json)) AS one';
CREATE FUNCTION instr(bytea, bytea) RETURNS integer LANGUAGE sql IMMUTABLE
    AS 'SELECT position($2 IN $1)';

-- Returns a seller's name as names are compared: as the network writes it, and as it is bare.
CREATE FUNCTION bare(p_name text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT rtrim(regexp_replace(
        btrim(regexp_replace(p_name, '^unverified:', ''), E' \t\r\n'), '^https?://', '', 'i'), '/')
$$;

-- One batch after the other, whoever brings it, until its commit: places are given in the order of
-- the commits, and what a batch does not see is not there.
CREATE FUNCTION lock_log() RETURNS void LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock('event'::regclass::oid::integer, 1)
$$;

-- Keeps a batch of callbacks, of which no two have the same fingerprint of bytes or of ids. Returns
-- for each the event that it repeats, or its own place and flags.
CREATE FUNCTION append(
    p_ids bytea[], p_actions text[], p_sellers text[], p_verified boolean[], p_bap_ids text[],
    p_transaction_ids text[], p_message_ids text[], p_domains text[], p_order_ids text[],
    p_states text[], p_received_at bigint[], p_flags integer[], p_warnings text[], p_bodies bytea[],
    p_body_prints bytea[], p_ids_prints bytea[], p_content_prints bytea[], p_lanes bigint[],
    p_standings integer[], p_handlers text[],
    p_id_reused integer, p_solicited integer, p_silence integer, p_late_for bigint
) RETURNS TABLE (n bigint, original bytea, seq bigint, flags integer)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    -- The next statement looks anew.
    PERFORM lock_log();
    RETURN QUERY
    -- Each callback's row is whole here, so that nothing below joins two lists of the batch. What
    -- is looked up for a row is looked up by LIMIT or OFFSET, which no plan takes for a join of all.
    WITH decided AS MATERIALIZED (
        -- Places without a gap, for who reads counts what is missing.
        SELECT known.*, CASE WHEN original IS NULL
            THEN (SELECT m.number FROM meta m WHERE m.name = 'place')
                + count(*) FILTER (WHERE original IS NULL) OVER (ORDER BY n)
            END AS seq FROM (
            SELECT i.*,
                -- What was rejected was never delivered: what is accepted now must be.
                coalesce(delivered.seq, rejected.seq, CASE
                    WHEN latest.content_print = i.content_print
                        AND (i.standing = 1 OR latest.standing = 0)
                    THEN latest.seq END) AS original,
                latest.content_print <> i.content_print AS reused
            FROM unnest(
                p_ids, p_actions, p_sellers, p_verified, p_bap_ids, p_transaction_ids,
                p_message_ids, p_domains, p_order_ids, p_states, p_received_at, p_flags, p_warnings,
                p_bodies, p_body_prints, p_ids_prints, p_content_prints, p_lanes, p_standings,
                p_handlers
            ) WITH ORDINALITY AS i (
                id, action, seller, verified, bap_id, transaction_id, message_id, domain, order_id,
                state, received_at, flags, warnings, body, body_print, ids_print, content_print,
                lane, standing, handler, n)
            LEFT JOIN LATERAL (
                SELECT e.seq FROM event e
                WHERE e.body_print = i.body_print AND e.standing = 0 LIMIT 1
            ) delivered ON true
            LEFT JOIN LATERAL (
                SELECT e.seq FROM event e
                WHERE e.body_print = i.body_print AND e.standing = 1 AND i.standing = 1 LIMIT 1
            ) rejected ON true
            LEFT JOIN LATERAL (
                SELECT e.seq, e.content_print, e.standing FROM event e
                WHERE e.ids_print = i.ids_print ORDER BY e.seq DESC LIMIT 1
            ) latest ON true
        ) known
    ), expected AS (
        -- The first that comes meets it.
        SELECT DISTINCT ON (x.seq) x.seq, d.n, d.seq AS event, d.received_at
        FROM decided d CROSS JOIN LATERAL (
            SELECT e.seq FROM expectation e
            WHERE hashtextextended(e.message_id, 0) = hashtextextended(d.message_id, 0)
                AND e.message_id = d.message_id AND e.action = d.action AND e.met_seq IS NULL
                AND (e.silent_seq IS NULL OR e.due_at > d.received_at - p_late_for)
                AND (e.transaction_id IS NULL OR e.transaction_id = d.transaction_id)
                AND (e.bpp_id IS NULL OR bare(e.bpp_id) = bare(d.seller))
            OFFSET 0
        ) x
        WHERE d.original IS NULL AND d.standing = 0 AND d.flags & p_silence = 0
        ORDER BY x.seq, d.n
    ), fresh AS (
        INSERT INTO event (
            seq, id, action, seller, verified, bap_id, transaction_id, message_id, domain, order_id,
            state, received_at, flags, warnings, body_print, ids_print, content_print, lane, standing)
        SELECT seq, id, action, seller, verified::integer, bap_id, transaction_id, message_id,
            domain, order_id, state, received_at,
            flags | CASE WHEN reused THEN p_id_reused ELSE 0 END
                | CASE WHEN n IN (SELECT x.n FROM expected x) THEN p_solicited ELSE 0 END,
            warnings, body_print, ids_print, content_print, lane, standing
        FROM decided WHERE original IS NULL
    ), kept AS (
        INSERT INTO body SELECT seq, body FROM decided WHERE original IS NULL
    ), weighed AS (
        UPDATE meta SET number = number + CASE name
            WHEN 'place' THEN (SELECT count(*) FROM decided WHERE original IS NULL)
            ELSE (SELECT coalesce(sum(octet_length(body) + 1024), 0) FROM decided
                WHERE original IS NULL) END
        WHERE name IN ('place', 'log_bytes')
    ), met AS (
        UPDATE expectation x SET met_seq = e.event, met_at = e.received_at
        FROM expected e WHERE x.seq = e.seq
    ), queued AS (
        INSERT INTO pending
        SELECT seq, lane, handler FROM decided WHERE original IS NULL AND standing = 0
    ), due AS (
        -- Also where another event is first: its settlement has to see this one.
        INSERT INTO lane AS l (key, head, handler)
        SELECT DISTINCT ON (lane) lane, seq, handler
        FROM decided WHERE original IS NULL AND standing = 0 ORDER BY lane, seq
        ON CONFLICT (key) DO UPDATE SET head = l.head
    )
    SELECT d.n, (SELECT o.id FROM event o WHERE o.seq = d.original), coalesce(d.seq, d.original),
        d.flags | CASE WHEN d.reused THEN p_id_reused ELSE 0 END
            | CASE WHEN d.n IN (SELECT x.n FROM expected x) THEN p_solicited ELSE 0 END
    FROM decided d;
END $$;

-- Writes what became of claims; those that another receiver has taken over change nothing. Returns
-- the lanes of the others.
CREATE FUNCTION settle(
    p_lanes bigint[], p_fences bigint[], p_seqs bigint[], p_writes boolean[], p_replays integer[],
    p_states integer[], p_attempts integer[], p_first_attempts_at bigint[], p_next_at bigint[],
    p_errors text[], p_failed_at bigint[], p_settled_at bigint[], p_flags integer[], p_found text[],
    p_attempts_kept integer
) RETURNS SETOF bigint
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    -- In one order, as an append does it. The next statement sees what was appended until then.
    PERFORM 1 FROM lane WHERE key = ANY (p_lanes) ORDER BY key FOR UPDATE;
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
    ), forgotten AS (
        DELETE FROM attempt a USING held h
        WHERE a.seq = h.seq AND a.replay = h.replay AND h.attempts > p_attempts_kept
            AND a.attempt <= h.attempts - p_attempts_kept
    ), gone AS (
        DELETE FROM pending p USING held h WHERE p.seq = h.seq AND h.state <> 0
    ), turn AS (
        -- A replay of an older event comes before one that waits to be tried again.
        SELECT h.lane, h.seq, h.next_at, next.seq AS next_seq, next.handler, d.next_at AS next_due
        FROM held h LEFT JOIN LATERAL (
            SELECT p.seq, p.handler FROM pending p
            WHERE p.lane = h.lane AND (h.state = 0 OR p.seq <> h.seq) ORDER BY p.seq LIMIT 1
        ) next ON true
        LEFT JOIN delivery d ON d.seq = next.seq
    ), freed AS (
        UPDATE lane l SET owner = NULL, lease_until = NULL, head = t.next_seq, handler = t.handler,
            due_at = CASE WHEN t.next_seq = t.seq THEN coalesce(t.next_at, l.due_at)
                ELSE t.next_due END
        FROM turn t WHERE l.key = t.lane AND t.next_seq IS NOT NULL
    ), ended AS (
        DELETE FROM lane l USING turn t WHERE l.key = t.lane AND t.next_seq IS NULL
    )
    SELECT lane FROM held;
END $$;

-- Registers what is waited for; what came in the last minutes meets it. Returns its place and that
-- event's.
CREATE FUNCTION expect(
    p_id bytea, p_action text, p_message_id text, p_transaction_id text, p_bap_id text,
    p_bpp_id text, p_domain text, p_at bigint, p_by text, p_due_at bigint, p_since bigint,
    p_solicited integer, p_silence integer
) RETURNS TABLE (seq bigint, met_seq bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    -- What comes at the same moment is there already, or sees this.
    PERFORM lock_log();
    RETURN QUERY
    WITH came AS (
        SELECT e.seq, e.received_at FROM event e
        WHERE hashtextextended(e.message_id, 0) = hashtextextended(p_message_id, 0)
            AND e.message_id = p_message_id AND e.action = p_action AND e.standing = 0
            AND e.received_at >= p_since AND e.flags & p_silence = 0
            AND (p_transaction_id IS NULL OR e.transaction_id = p_transaction_id)
            AND (p_bpp_id IS NULL OR bare(e.seller) = bare(p_bpp_id))
        ORDER BY e.seq LIMIT 1
    ), marked AS (
        UPDATE event SET flags = event.flags | p_solicited FROM came WHERE event.seq = came.seq
    )
    INSERT INTO expectation AS x (
        id, action, message_id, transaction_id, bap_id, bpp_id, domain, registered_at,
        registered_by, due_at, met_seq, met_at)
    SELECT p_id, p_action, p_message_id, p_transaction_id, p_bap_id, p_bpp_id, p_domain, p_at, p_by,
        p_due_at, (SELECT seq FROM came), (SELECT received_at FROM came)
    RETURNING x.seq, x.met_seq;
END $$;

-- Begins another round of those that are settled and not erased; the requests are then done.
-- Returns those that began.
CREATE FUNCTION replay(p_seqs bigint[], p_handlers text[], p_erased integer) RETURNS SETOF bigint
LANGUAGE sql AS $$
    WITH wanted AS (
        SELECT e.seq, e.lane, r.handler, coalesce(d.replay, 0) + 1 AS replay
        FROM unnest(p_seqs, p_handlers) AS r (seq, handler)
        JOIN event e USING (seq) LEFT JOIN delivery d USING (seq)
        -- Without a delivery only what was rejected is settled.
        WHERE e.flags & p_erased = 0 AND coalesce(d.state, e.standing) <> 0
    ), begun AS (
        INSERT INTO delivery AS d (seq, replay, state, attempts, marks)
        SELECT seq, replay, 0, 0, 0 FROM wanted
        ON CONFLICT (seq) DO UPDATE SET
            replay = excluded.replay, state = 0, attempts = 0, first_attempt_at = NULL,
            next_at = NULL, marks = 0, error = NULL, settled_at = NULL
    ), queued AS (
        INSERT INTO pending SELECT seq, lane, handler FROM wanted
    ), due AS (
        -- What is out stays the first until it is settled.
        INSERT INTO lane AS l (key, head, handler)
        SELECT DISTINCT ON (lane) lane, seq, handler FROM wanted ORDER BY lane, seq
        ON CONFLICT (key) DO UPDATE SET
            handler = CASE WHEN l.owner IS NULL AND excluded.head < l.head
                THEN excluded.handler ELSE l.handler END,
            due_at = CASE WHEN l.owner IS NULL AND excluded.head < l.head
                THEN NULL ELSE l.due_at END,
            head = CASE WHEN l.owner IS NULL THEN least(l.head, excluded.head) ELSE l.head END
    ), done AS (
        DELETE FROM replay_request WHERE seq = ANY (p_seqs)
    )
    SELECT seq FROM wanted
$$;

-- Empties the settled events of a transaction, a few of them; returns their places.
CREATE FUNCTION erase(p_transaction_id text, p_erased integer, p_limit bigint) RETURNS SETOF bigint
LANGUAGE sql AS $$
    WITH settled AS (
        SELECT e.seq FROM event e
        WHERE hashtextextended(e.transaction_id, 0) = hashtextextended(p_transaction_id, 0)
            AND e.transaction_id = p_transaction_id
            AND NOT EXISTS (SELECT 1 FROM pending p WHERE p.seq = e.seq)
            AND NOT EXISTS (SELECT 1 FROM replay_request r WHERE r.seq = e.seq)
        ORDER BY e.seq LIMIT p_limit
    ), emptied AS (
        UPDATE event e SET transaction_id = NULL, message_id = NULL, order_id = NULL, state = NULL,
            warnings = NULL, flags = e.flags | p_erased
        FROM settled s WHERE e.seq = s.seq
    ), zeroed AS (
        UPDATE body b SET body = decode(repeat('00', octet_length(b.body)), 'hex')
        FROM settled s WHERE b.seq = s.seq
    ), told AS (
        UPDATE delivery d SET error = NULL, states = NULL FROM settled s WHERE d.seq = s.seq
    ), failed AS (
        UPDATE attempt a SET error = '' FROM settled s WHERE a.seq = s.seq
    ), expected AS (
        DELETE FROM expectation x USING settled s WHERE x.met_seq = s.seq OR x.silent_seq = s.seq
    )
    SELECT seq FROM settled
$$;

-- Lets go of those of these events that nobody waits for.
CREATE FUNCTION let_go(p_seqs bigint[]) RETURNS SETOF bigint
LANGUAGE sql AS $$
    WITH left_log AS (
        DELETE FROM event e WHERE e.seq = ANY (p_seqs)
            AND NOT EXISTS (SELECT 1 FROM pending p WHERE p.seq = e.seq)
        RETURNING e.seq
    ), bodies AS (
        DELETE FROM body b USING left_log o WHERE b.seq = o.seq
        RETURNING octet_length(b.body) + 1024 AS bytes
    ), lighter AS (
        UPDATE meta SET number = number - (SELECT coalesce(sum(bytes), 0) FROM bodies)
        WHERE name = 'log_bytes'
    ), deliveries AS (
        DELETE FROM delivery d USING left_log o WHERE d.seq = o.seq
    ), attempts AS (
        DELETE FROM attempt a USING left_log o WHERE a.seq = o.seq
    ), repetitions AS (
        DELETE FROM repetition r USING left_log o WHERE r.seq = o.seq
    )
    SELECT seq FROM left_log
$$;

-- The place of the newest event, and what the log weighs.
INSERT INTO meta (name, number) VALUES ('place', 0), ('log_bytes', 0);

-- Gives events that wait to other handlers. What is out stays where it is.
CREATE FUNCTION reroute(p_seqs bigint[], p_handlers text[]) RETURNS void
LANGUAGE sql AS $$
    WITH moved AS (
        UPDATE pending p SET handler = i.handler
        FROM unnest(p_seqs, p_handlers) AS i (seq, handler) WHERE p.seq = i.seq
        RETURNING p.seq, p.lane, p.handler
    )
    UPDATE lane l SET handler = m.handler
    FROM moved m WHERE l.key = m.lane AND l.head = m.seq
        AND (l.owner IS NULL OR l.lease_until < clock_timestamp())
$$;
