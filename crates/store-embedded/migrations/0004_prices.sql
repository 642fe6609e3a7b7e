-- What a shop has decided about prices; the pricebook in memory is all of it.
CREATE TABLE rules (
    kind    TEXT NOT NULL,
    id      TEXT NOT NULL,
    version INTEGER NOT NULL,
    body    BLOB NOT NULL,
    PRIMARY KEY (kind, id)
) WITHOUT ROWID;

-- Who changed which rule, when and why: nothing is ever taken out.
CREATE TABLE rule_audit (
    sequence INTEGER PRIMARY KEY,
    kind     TEXT NOT NULL,
    id       TEXT NOT NULL,
    body     BLOB NOT NULL
);
CREATE INDEX rule_audit_by_rule ON rule_audit (kind, id, sequence);

-- Every code leads to one promotion: a rule names it (then it has no batch), or it was issued.
CREATE TABLE codes (
    code      TEXT PRIMARY KEY,
    promotion TEXT NOT NULL,
    batch     BLOB,
    uses_max  INTEGER,
    at        INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX codes_named ON codes (promotion) WHERE batch IS NULL;
CREATE INDEX codes_issued ON codes (promotion, code) WHERE batch IS NOT NULL;

-- How many codes were issued together so far.
CREATE TABLE batches (
    id     BLOB PRIMARY KEY,
    issued INTEGER NOT NULL
) WITHOUT ROWID;

-- What editions were sold at, in the order it was said.
CREATE TABLE price_lines (
    place   INTEGER PRIMARY KEY,
    edition BLOB NOT NULL,
    body    BLOB NOT NULL
);
CREATE INDEX price_lines_by_edition ON price_lines (edition, place);
