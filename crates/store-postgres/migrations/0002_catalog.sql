-- Books, the headings they are gathered under, and what they are found by. `xid` is the transaction that wrote a row
-- last: nodes ask for what has become visible since they last looked (queries/feed/since.sql). Texts are compared byte by
-- byte, so that no new version of a locale can disorder an index.

-- `name_key` is the name in lower case; `words` is what an author's books are found by.
CREATE TABLE headings (
    kind     text COLLATE "C" NOT NULL,
    id       uuid NOT NULL,
    version  bigint NOT NULL,
    name_key text COLLATE "C" NOT NULL,
    words    tsvector NOT NULL,
    body     bytea NOT NULL,
    xid      xid8 NOT NULL,
    PRIMARY KEY (kind, id),
    CONSTRAINT headings_name UNIQUE (kind, name_key)
);
CREATE INDEX headings_xid ON headings (xid);

-- `own` are the words of the book's own record, `words` these and its authors'.
CREATE TABLE books (
    id      uuid PRIMARY KEY,
    version bigint NOT NULL,
    own     tsvector NOT NULL,
    words   tsvector NOT NULL,
    body    bytea NOT NULL,
    xid     xid8 NOT NULL
);
CREATE INDEX books_xid ON books (xid);
CREATE INDEX books_words ON books USING gin (words);

CREATE TABLE editions (
    id   uuid PRIMARY KEY,
    book uuid NOT NULL,
    sku  text COLLATE "C" NOT NULL UNIQUE
);
CREATE INDEX editions_book ON editions (book);

CREATE TABLE book_headings (
    book uuid NOT NULL,
    kind text COLLATE "C" NOT NULL,
    id   uuid NOT NULL,
    PRIMARY KEY (book, kind, id)
);
CREATE INDEX book_headings_heading ON book_headings (kind, id);

-- Books, headings and rules that were deleted, kept for good: how other nodes hear of it.
CREATE TABLE removed (
    kind text COLLATE "C" NOT NULL,
    key  text COLLATE "C" NOT NULL,
    xid  xid8 NOT NULL,
    PRIMARY KEY (kind, key)
);
CREATE INDEX removed_xid ON removed (xid);

-- What editions were sold at, in the order it was said.
CREATE TABLE price_lines (
    place   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    edition uuid NOT NULL,
    body    bytea NOT NULL
);
CREATE INDEX price_lines_by_edition ON price_lines (edition, place);

-- The moves of other nodes are found in the same way as their saves.
ALTER TABLE stock_moves ADD COLUMN xid xid8 NOT NULL DEFAULT pg_current_xact_id();
CREATE INDEX stock_moves_xid ON stock_moves (xid);

CREATE AGGREGATE all_words (tsvector) (SFUNC = tsvector_concat, STYPE = tsvector, INITCOND = '');

-- What a book is found by of its authors.
CREATE FUNCTION author_words(book uuid) RETURNS tsvector LANGUAGE sql STABLE AS $$
    SELECT coalesce(all_words(h.words ORDER BY h.id), '') FROM book_headings u JOIN headings h USING (kind, id)
    WHERE u.book = author_words.book AND u.kind = 'aut'
$$;

-- The functions of a save: each gives null, or what does not hold. Arrays that begin alike are the columns of one list.

-- Headings that are new (expected version 0) or change.
CREATE FUNCTION put_headings(
    p_kinds text[], p_ids uuid[], p_expected bigint[], p_versions bigint[], p_names text[], p_words text[], p_bodies bytea[]
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    this CONSTANT xid8 := pg_current_xact_id();
    changed bigint;
    added bigint;
BEGIN
    UPDATE headings h SET version = w.version, name_key = w.name, words = w.words::tsvector, body = w.body, xid = this
    FROM unnest(p_kinds, p_ids, p_expected, p_versions, p_names, p_words, p_bodies) w (kind, id, expected, version, name, words, body)
    WHERE h.kind = w.kind AND h.id = w.id AND h.version = w.expected AND w.expected > 0;
    GET DIAGNOSTICS changed = ROW_COUNT;
    IF changed < (SELECT count(*) FROM unnest(p_expected) expected WHERE expected > 0) THEN
        RETURN 'conflict';
    END IF;
    -- A renamed author is found by the new name.
    IF changed > 0 THEN
        UPDATE books b SET words = b.own || author_words(b.id)
        WHERE b.id IN (SELECT u.book FROM book_headings u JOIN headings h USING (kind, id) WHERE u.kind = 'aut' AND h.xid = this);
    END IF;
    INSERT INTO headings (kind, id, version, name_key, words, body, xid)
    SELECT w.kind, w.id, w.version, w.name, w.words::tsvector, w.body, this
    FROM unnest(p_kinds, p_ids, p_expected, p_versions, p_names, p_words, p_bodies) w (kind, id, expected, version, name, words, body)
    WHERE w.expected = 0 ORDER BY w.kind, w.name ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS added = ROW_COUNT;
    IF changed + added = cardinality(p_ids) THEN
        RETURN NULL;
    END IF;
    PERFORM FROM unnest(p_kinds, p_ids, p_expected) w (kind, id, expected) JOIN headings h USING (kind, id)
    WHERE w.expected = 0 AND h.xid <> this;
    RETURN CASE WHEN FOUND THEN 'conflict' ELSE 'name taken' END;
EXCEPTION WHEN unique_violation THEN
    RETURN 'name taken';
END $$;

-- Books that go, with the expected versions.
CREATE FUNCTION delete_books(p_ids uuid[], p_expected bigint[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    deleted bigint;
BEGIN
    DELETE FROM book_headings WHERE book = ANY (p_ids);
    DELETE FROM editions WHERE book = ANY (p_ids);
    DELETE FROM books b USING unnest(p_ids, p_expected) w (id, expected) WHERE b.id = w.id AND b.version = w.expected;
    GET DIAGNOSTICS deleted = ROW_COUNT;
    INSERT INTO removed (kind, key, xid) SELECT 'book', id::text, pg_current_xact_id() FROM unnest(p_ids) id
    ON CONFLICT (kind, key) DO UPDATE SET xid = excluded.xid;
    RETURN CASE WHEN deleted < cardinality(p_ids) THEN 'conflict' END;
END $$;

-- Books that are new (expected version 0) or change, and the headings they are under.
CREATE FUNCTION put_books(
    p_ids uuid[], p_expected bigint[], p_versions bigint[], p_words text[], p_bodies bytea[],
    p_under_books uuid[], p_under_kinds text[], p_under_ids uuid[]
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    this CONSTANT xid8 := pg_current_xact_id();
    changed bigint;
    added bigint;
BEGIN
    -- A heading waits with its deletion, and with another name, for the books that are just put under it.
    PERFORM FROM headings h WHERE (h.kind, h.id) IN (SELECT kind, id FROM unnest(p_under_kinds, p_under_ids) w (kind, id))
    ORDER BY h.kind, h.id FOR SHARE;
    GET DIAGNOSTICS changed = ROW_COUNT;
    IF changed < (SELECT count(DISTINCT (kind, id)) FROM unnest(p_under_kinds, p_under_ids) w (kind, id)) THEN
        RETURN 'conflict';
    END IF;
    DELETE FROM book_headings WHERE book = ANY (p_ids);
    INSERT INTO book_headings (book, kind, id)
    SELECT DISTINCT book, kind, id FROM unnest(p_under_books, p_under_kinds, p_under_ids) w (book, kind, id);
    UPDATE books b SET
        version = w.version, own = w.words::tsvector, words = w.words::tsvector || author_words(w.id), body = w.body, xid = this
    FROM unnest(p_ids, p_expected, p_versions, p_words, p_bodies) w (id, expected, version, words, body)
    WHERE b.id = w.id AND b.version = w.expected AND w.expected > 0;
    GET DIAGNOSTICS changed = ROW_COUNT;
    INSERT INTO books (id, version, own, words, body, xid)
    SELECT w.id, w.version, w.words::tsvector, w.words::tsvector || author_words(w.id), w.body, this
    FROM unnest(p_ids, p_expected, p_versions, p_words, p_bodies) w (id, expected, version, words, body)
    WHERE w.expected = 0 ORDER BY w.id ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS added = ROW_COUNT;
    RETURN CASE WHEN changed + added < cardinality(p_ids) THEN 'conflict' END;
EXCEPTION WHEN unique_violation THEN
    -- Somebody puts the same book under the same heading.
    RETURN 'conflict';
END $$;

-- The editions of books, in place of those they had; the first SKU that another edition has.
CREATE FUNCTION put_editions(
    p_of uuid[], p_ids uuid[], p_books uuid[], p_skus text[], OUT outcome text, OUT taken text
) LANGUAGE plpgsql AS $$
BEGIN
    -- All the old ones go before the new ones come: within one change books may swap SKUs.
    DELETE FROM editions WHERE book = ANY (p_of);
    WITH put AS (
        INSERT INTO editions (id, book, sku) SELECT id, book, sku FROM unnest(p_ids, p_books, p_skus) w (id, book, sku) ORDER BY sku
        ON CONFLICT (sku) DO NOTHING RETURNING id
    )
    SELECT 'sku taken', w.sku INTO outcome, taken FROM unnest(p_ids, p_skus) WITH ORDINALITY w (id, sku, place)
    WHERE w.id NOT IN (SELECT id FROM put) ORDER BY w.place LIMIT 1;
EXCEPTION WHEN unique_violation THEN
    -- The edition is another book's.
    outcome := 'conflict';
END $$;

-- Headings that go; how many books name the first that one still names.
CREATE FUNCTION delete_headings(
    p_kinds text[], p_ids uuid[], p_expected bigint[], OUT outcome text, OUT books bigint
) LANGUAGE plpgsql AS $$
DECLARE
    there bigint;
BEGIN
    PERFORM FROM headings h JOIN unnest(p_kinds, p_ids, p_expected) w (kind, id, expected) USING (kind, id)
    WHERE h.version = w.expected ORDER BY h.kind, h.id FOR UPDATE OF h;
    GET DIAGNOSTICS there = ROW_COUNT;
    IF there < cardinality(p_ids) THEN
        outcome := 'conflict';
        RETURN;
    END IF;
    SELECT 'referenced', count(*) INTO outcome, books FROM unnest(p_kinds, p_ids) WITH ORDINALITY w (kind, id, place)
    JOIN book_headings u USING (kind, id) GROUP BY w.place ORDER BY w.place LIMIT 1;
    DELETE FROM headings h USING unnest(p_kinds, p_ids) w (kind, id) WHERE h.kind = w.kind AND h.id = w.id;
    INSERT INTO removed (kind, key, xid) SELECT kind, id::text, pg_current_xact_id() FROM unnest(p_kinds, p_ids) w (kind, id)
    ON CONFLICT (kind, key) DO UPDATE SET xid = excluded.xid;
END $$;

-- Makes every line of a change of the catalog true, or none and says which does not hold: `Catalog::save`, in one call. Locks
-- are taken in this order: answer, headings, books, editions, stock, outbox.
CREATE FUNCTION save_catalog(
    p_commit uuid, p_now bigint,
    p_answer_key uuid, p_answer_fingerprint uuid, p_answer_at bigint, p_answer_body bytea,
    p_heading_kinds text[], p_heading_ids uuid[], p_heading_expected bigint[], p_heading_versions bigint[], p_heading_names text[],
    p_heading_words text[], p_heading_bodies bytea[],
    p_gone_heading_kinds text[], p_gone_heading_ids uuid[], p_gone_heading_expected bigint[],
    p_book_ids uuid[], p_book_expected bigint[], p_book_versions bigint[], p_book_words text[], p_book_bodies bytea[],
    p_under_books uuid[], p_under_kinds text[], p_under_ids uuid[],
    p_edition_ids uuid[], p_edition_books uuid[], p_edition_skus text[],
    p_gone_book_ids uuid[], p_gone_book_expected bigint[],
    p_stock_editions uuid[], p_stock_subjects text[], p_stock_kinds text[], p_stock_ns bigint[], p_stock_causes text[],
    p_price_editions uuid[], p_price_bodies bytea[], p_outbox bytea[],
    OUT outcome text, OUT first_fingerprint uuid, OUT first_at bigint, OUT first_body bytea,
    OUT taken text, OUT books bigint, OUT levels bigint[], OUT short bigint[]
) LANGUAGE plpgsql AS $$
DECLARE
    first answers;
    events bytea[] := '{}';
BEGIN
    INSERT INTO commits (id) VALUES (p_commit);
    IF p_answer_key IS NOT NULL THEN
        first := remember(p_answer_key, p_answer_fingerprint, p_answer_at, p_answer_body);
        IF first.key IS NOT NULL THEN
            outcome := 'answered';
            first_fingerprint := first.fingerprint;
            first_at := first.at;
            first_body := first.body;
            RAISE SQLSTATE 'CW001';
        END IF;
    END IF;
    IF cardinality(p_heading_ids) > 0 THEN
        outcome := put_headings(
            p_heading_kinds, p_heading_ids, p_heading_expected, p_heading_versions, p_heading_names, p_heading_words, p_heading_bodies);
        IF outcome IS NOT NULL THEN
            RAISE SQLSTATE 'CW001';
        END IF;
    END IF;
    IF cardinality(p_gone_book_ids) > 0 THEN
        outcome := delete_books(p_gone_book_ids, p_gone_book_expected);
        IF outcome IS NOT NULL THEN
            RAISE SQLSTATE 'CW001';
        END IF;
    END IF;
    IF cardinality(p_book_ids) > 0 THEN
        outcome := put_books(
            p_book_ids, p_book_expected, p_book_versions, p_book_words, p_book_bodies, p_under_books, p_under_kinds, p_under_ids);
        IF outcome IS NOT NULL THEN
            RAISE SQLSTATE 'CW001';
        END IF;
        SELECT put.outcome, put.taken INTO outcome, taken FROM put_editions(p_book_ids, p_edition_ids, p_edition_books, p_edition_skus) put;
        IF outcome IS NOT NULL THEN
            RAISE SQLSTATE 'CW001';
        END IF;
    END IF;
    IF cardinality(p_gone_heading_ids) > 0 THEN
        SELECT gone.outcome, gone.books INTO outcome, books
        FROM delete_headings(p_gone_heading_kinds, p_gone_heading_ids, p_gone_heading_expected) gone;
        IF outcome IS NOT NULL THEN
            RAISE SQLSTATE 'CW001';
        END IF;
    END IF;
    IF cardinality(p_stock_editions) > 0 THEN
        SELECT moved.events, moved.levels, moved.short INTO events, levels, short
        FROM move_stock(p_stock_editions, p_stock_subjects, p_stock_kinds, p_stock_ns, p_stock_causes, p_now) moved;
        IF cardinality(short) > 0 THEN
            outcome := 'stock short';
            RAISE SQLSTATE 'CW001';
        END IF;
    END IF;
    INSERT INTO price_lines (edition, body)
    SELECT w.edition, w.body FROM unnest(p_price_editions, p_price_bodies) WITH ORDINALITY w (edition, body, place) ORDER BY w.place;
    PERFORM send(p_outbox || events);
    IF cardinality(p_heading_ids || p_gone_heading_ids || p_book_ids || p_gone_book_ids) > 0 THEN
        NOTIFY cartwright_copy;
    END IF;
EXCEPTION WHEN SQLSTATE 'CW001' THEN
    -- Undone; the outcome says why.
END $$;
