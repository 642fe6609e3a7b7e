-- SHA-256 over the link before it and the event's body (`chain.rs`): what was once written cannot be changed
-- unseen. Filled in for what is there already.
ALTER TABLE order_events ADD COLUMN link BLOB NOT NULL DEFAULT x'';

-- A number belongs to one order for good, also when that has failed.
DROP INDEX orders_number;
CREATE UNIQUE INDEX orders_number ON orders (number);

-- Money is taken on shipment too.
DROP INDEX orders_alarm;
CREATE INDEX orders_alarm ON orders (alarm_at) WHERE payment IN ('capturing', 'voiding', 'refunding');

-- Notices of the payment provider that were heeded, and when.
CREATE TABLE notices (
    id TEXT PRIMARY KEY,
    at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX notices_at ON notices (at);
