-- Ids are 16 bytes, big endian, so that they sort by time. Times are microseconds. `body` is a record of the
-- `records` crate; the columns beside it are what queries and preconditions need.

-- `expires_hour` is `expires_at` in whole hours: a cart's expiry slides with every save, its index entry only
-- once an hour.
CREATE TABLE carts (
    id           BLOB PRIMARY KEY,
    version      INTEGER NOT NULL,
    owner        BLOB NOT NULL,
    expires_at   INTEGER NOT NULL,
    expires_hour INTEGER NOT NULL,
    body         BLOB NOT NULL
) WITHOUT ROWID;
-- Not unique: an expired cart may wait to be swept while its owner already has another.
CREATE INDEX carts_owner ON carts (owner);
CREATE INDEX carts_expires ON carts (expires_hour);

CREATE TABLE checkouts (
    id         BLOB PRIMARY KEY,
    version    INTEGER NOT NULL,
    cart       BLOB NOT NULL,
    owner      BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    live       INTEGER NOT NULL,
    done       INTEGER NOT NULL,
    due_at     INTEGER NOT NULL,
    body       BLOB NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX checkouts_live ON checkouts (cart) WHERE live;
CREATE INDEX checkouts_cart ON checkouts (cart) WHERE NOT done;
CREATE INDEX checkouts_due ON checkouts (due_at) WHERE NOT done;
CREATE INDEX checkouts_owner ON checkouts (owner, created_at);

CREATE TABLE orders (
    id        BLOB PRIMARY KEY,
    version   INTEGER NOT NULL,
    number    TEXT NOT NULL,
    checkout  BLOB NOT NULL,
    owner     BLOB NOT NULL,
    placed_at INTEGER NOT NULL,
    status    TEXT NOT NULL,
    payment   TEXT NOT NULL,
    alarm_at  INTEGER,
    body      BLOB NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX orders_checkout ON orders (checkout) WHERE status <> 'failed';
CREATE UNIQUE INDEX orders_number ON orders (number) WHERE status <> 'failed';
CREATE INDEX orders_placed ON orders (placed_at, id);
CREATE INDEX orders_owner ON orders (owner, placed_at, id);
CREATE INDEX orders_status ON orders (status, placed_at, id);
CREATE INDEX orders_payment ON orders (payment, placed_at, id);
CREATE INDEX orders_alarm ON orders (alarm_at) WHERE payment IN ('voiding', 'refunding');

CREATE TABLE order_events (
    order_id BLOB NOT NULL,
    sequence INTEGER NOT NULL,
    body     BLOB NOT NULL,
    PRIMARY KEY (order_id, sequence)
) WITHOUT ROWID;

CREATE TABLE stock (
    edition  BLOB PRIMARY KEY,
    on_hand  INTEGER NOT NULL,
    reserved INTEGER NOT NULL CHECK (reserved BETWEEN 0 AND on_hand),
    moves    INTEGER NOT NULL
) WITHOUT ROWID;

-- The ledger behind `stock`: `sequence` is the level's count of moves after this one.
CREATE TABLE stock_moves (
    cause    TEXT NOT NULL,
    edition  BLOB NOT NULL,
    kind     TEXT NOT NULL,
    n        INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    PRIMARY KEY (cause, edition)
) WITHOUT ROWID;

CREATE TABLE coupons (
    code TEXT PRIMARY KEY,
    used INTEGER NOT NULL CHECK (used >= 0)
) WITHOUT ROWID;

-- The ledger behind `coupons`: `n` is 1 for a use, -1 for a use given back, 0 when there was none to give back.
CREATE TABLE coupon_moves (
    cause TEXT NOT NULL,
    code  TEXT NOT NULL,
    n     INTEGER NOT NULL,
    at    INTEGER NOT NULL,
    PRIMARY KEY (cause, code)
) WITHOUT ROWID;

-- `number` is the book's row in `books_fts`.
CREATE TABLE books (
    number  INTEGER PRIMARY KEY,
    id      BLOB NOT NULL UNIQUE,
    version INTEGER NOT NULL,
    body    BLOB NOT NULL
);

CREATE TABLE editions (
    id   BLOB PRIMARY KEY,
    book BLOB NOT NULL,
    sku  TEXT NOT NULL UNIQUE
) WITHOUT ROWID;
CREATE INDEX editions_book ON editions (book);

-- `name_key` is the name in lower case.
CREATE TABLE headings (
    kind     TEXT NOT NULL,
    id       BLOB NOT NULL,
    version  INTEGER NOT NULL,
    name     TEXT NOT NULL,
    name_key TEXT NOT NULL,
    body     BLOB NOT NULL,
    PRIMARY KEY (kind, id),
    UNIQUE (kind, name_key)
) WITHOUT ROWID;

CREATE TABLE book_headings (
    book BLOB NOT NULL,
    kind TEXT NOT NULL,
    id   BLOB NOT NULL,
    PRIMARY KEY (book, kind, id)
) WITHOUT ROWID;
CREATE INDEX book_headings_heading ON book_headings (kind, id);

CREATE VIRTUAL TABLE books_fts USING fts5 (
    title, authors, description,
    content = '', contentless_delete = 1,
    tokenize = 'unicode61 remove_diacritics 2',
    prefix = '2 3'
);

CREATE TABLE sessions (
    id         BLOB PRIMARY KEY,
    token      BLOB NOT NULL UNIQUE,
    version    INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    body       BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX sessions_expires ON sessions (expires_at);

CREATE TABLE answers (
    key         BLOB PRIMARY KEY,
    fingerprint BLOB NOT NULL,
    at          INTEGER NOT NULL,
    body        BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX answers_at ON answers (at);

-- The store counts positions itself, in order of commit. Delivery is nearly in order too, so what is pending
-- is found by walking on from the last place where everything was delivered; an index would cost every event
-- two more writes.
CREATE TABLE outbox (
    position     INTEGER PRIMARY KEY,
    -- Only of events delivered before an older one; the others are below a mark.
    delivered_at INTEGER,
    body         BLOB NOT NULL
);
CREATE INDEX outbox_by_delivery ON outbox (delivered_at) WHERE delivered_at IS NOT NULL;

-- Every event up to a position is delivered, and since when: one row a batch instead of one write an event.
CREATE TABLE outbox_marks (
    through INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL
);
