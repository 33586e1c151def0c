-- What routes look at beside the action and the ids. At the end, for old rows have no value there.
ALTER TABLE event ADD COLUMN domain TEXT;
-- What waits is routed by it; what is settled is not looked at again.
UPDATE event SET domain = (
    SELECT CASE WHEN json_valid(CAST(body AS TEXT))
        THEN json_extract(CAST(body AS TEXT), '$.context.domain') END
    FROM body WHERE body.seq = event.seq)
WHERE seq >= coalesce((SELECT value FROM meta WHERE name = 'low_water'), 1);

-- The handlers that the last start named; the commands set paused_at, the writer takes it up.
CREATE TABLE handler (name TEXT PRIMARY KEY, paused_at INTEGER) STRICT, WITHOUT ROWID;
