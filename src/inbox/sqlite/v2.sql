-- What routes look at beside the action and the ids. At the end, for old rows have no value there.
ALTER TABLE event ADD COLUMN domain TEXT;
-- What waits is routed by it, and what is settled when it is replayed: some 7 s a million events,
-- once. A body with a trailing comma keeps none, and goes where no route asks for a domain.
UPDATE event SET domain = (
    SELECT CASE WHEN json_valid(ltrim(CAST(body AS TEXT), char(65279)))
        THEN json_extract(ltrim(CAST(body AS TEXT), char(65279)), '$.context.domain') END
    FROM body WHERE body.seq = event.seq);

-- The handlers that the last start named; the commands set paused_at, the writer takes it up.
CREATE TABLE handler (name TEXT PRIMARY KEY, paused_at INTEGER) STRICT, WITHOUT ROWID;
