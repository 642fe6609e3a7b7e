-- What a shop has decided about prices; every node has all of it in memory.
CREATE TABLE rules (
    kind    text COLLATE "C" NOT NULL,
    id      text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    body    bytea NOT NULL,
    xid     xid8 NOT NULL,
    PRIMARY KEY (kind, id)
);
CREATE INDEX rules_xid ON rules (xid);

-- Who changed which rule, when and why: nothing is ever taken out.
CREATE TABLE rule_audit (
    sequence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind     text COLLATE "C" NOT NULL,
    id       text COLLATE "C" NOT NULL,
    body     bytea NOT NULL
);
CREATE INDEX rule_audit_by_rule ON rule_audit (kind, id, sequence);

-- Every code leads to one promotion: a rule names it (then it has no batch), or it was issued.
CREATE TABLE codes (
    code      text COLLATE "C" PRIMARY KEY,
    promotion text COLLATE "C" NOT NULL,
    batch     uuid,
    uses_max  bigint,
    at        bigint NOT NULL
);
CREATE INDEX codes_named ON codes (promotion) WHERE batch IS NULL;
CREATE INDEX codes_issued ON codes (promotion, code) WHERE batch IS NOT NULL;

-- How many codes were issued together so far.
CREATE TABLE batches (
    id     uuid PRIMARY KEY,
    issued bigint NOT NULL
);

-- The functions of a save: each gives null, or what does not hold. Arrays that begin alike are the columns of one list.

-- Rules that change (what `p_xids` wrote) or are new (null). The caller has read them: so it knows what was before.
CREATE FUNCTION put_rules(p_kinds text[], p_ids text[], p_xids bigint[], p_versions bigint[], p_bodies bytea[]) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    this CONSTANT xid8 := pg_current_xact_id();
    changed bigint;
    added bigint;
BEGIN
    UPDATE rules r SET version = w.version, body = w.body, xid = this
    FROM unnest(p_kinds, p_ids, p_xids, p_versions, p_bodies) w (kind, id, xid, version, body)
    WHERE r.kind = w.kind AND r.id = w.id AND r.xid::text::bigint = w.xid;
    GET DIAGNOSTICS changed = ROW_COUNT;
    INSERT INTO rules (kind, id, version, body, xid)
    SELECT w.kind, w.id, w.version, w.body, this
    FROM unnest(p_kinds, p_ids, p_xids, p_versions, p_bodies) w (kind, id, xid, version, body)
    WHERE w.xid IS NULL ORDER BY w.kind, w.id ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS added = ROW_COUNT;
    RETURN CASE WHEN changed + added < cardinality(p_ids) THEN 'conflict' END;
END $$;

-- Rules that go.
CREATE FUNCTION delete_rules(p_kinds text[], p_ids text[], p_xids bigint[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    deleted bigint;
BEGIN
    DELETE FROM rules r USING unnest(p_kinds, p_ids, p_xids) w (kind, id, xid)
    WHERE r.kind = w.kind AND r.id = w.id AND r.xid::text::bigint = w.xid;
    GET DIAGNOSTICS deleted = ROW_COUNT;
    INSERT INTO removed (kind, key, xid) SELECT kind, id, pg_current_xact_id() FROM unnest(p_kinds, p_ids) w (kind, id)
    ON CONFLICT (kind, key) DO UPDATE SET xid = excluded.xid;
    RETURN CASE WHEN deleted < cardinality(p_ids) THEN 'conflict' END;
END $$;

-- The codes that promotions name, in place of those they had; the first that leads elsewhere.
CREATE FUNCTION name_codes(p_of text[], p_codes text[], p_promotions text[], p_now bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    taken text;
BEGIN
    -- All the old ones go before the new ones come: within one change two promotions may swap them.
    DELETE FROM codes WHERE promotion = ANY (p_of) AND batch IS NULL;
    WITH put AS (
        INSERT INTO codes (code, promotion, at)
        SELECT code, promotion, p_now FROM unnest(p_codes, p_promotions) WITH ORDINALITY w (code, promotion, place)
        ORDER BY code, place ON CONFLICT DO NOTHING RETURNING code, promotion
    )
    SELECT w.code INTO taken FROM unnest(p_codes, p_promotions) WITH ORDINALITY w (code, promotion, place)
    WHERE (w.code, w.promotion) NOT IN (SELECT code, promotion FROM put) ORDER BY w.place LIMIT 1;
    RETURN taken;
END $$;

-- The next codes of a batch that has as many as expected; the first that leads somewhere already.
CREATE FUNCTION issue_codes(
    p_batch uuid, p_promotion text, p_uses_max bigint, p_expected bigint, p_codes text[], p_now bigint, OUT outcome text, OUT taken text
) LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO batches (id, issued) VALUES (p_batch, 0) ON CONFLICT DO NOTHING;
    UPDATE batches SET issued = issued + cardinality(p_codes) WHERE id = p_batch AND issued = p_expected;
    IF NOT FOUND THEN
        outcome := 'conflict';
        RETURN;
    END IF;
    WITH put AS (
        INSERT INTO codes (code, promotion, batch, uses_max, at)
        SELECT code, p_promotion, p_batch, p_uses_max, p_now FROM unnest(p_codes) code
        ORDER BY code ON CONFLICT DO NOTHING RETURNING code
    )
    SELECT 'code taken', w.code INTO outcome, taken
    FROM (SELECT code, place, row_number() OVER (PARTITION BY code ORDER BY place) AS nth
          FROM unnest(p_codes) WITH ORDINALITY w (code, place)) w
    WHERE w.nth > 1 OR w.code NOT IN (SELECT code FROM put) ORDER BY w.place LIMIT 1;
END $$;

-- Makes every line of a change of prices true, or none and says which does not hold: `Prices::save`, in one call. Locks are
-- taken in this order: answer, rules, codes that rules name, batch, issued codes.
CREATE FUNCTION save_prices(
    p_commit uuid, p_now bigint,
    p_answer_key uuid, p_answer_fingerprint uuid, p_answer_at bigint, p_answer_body bytea,
    p_rule_kinds text[], p_rule_ids text[], p_rule_xids bigint[], p_rule_versions bigint[], p_rule_bodies bytea[],
    p_gone_rule_kinds text[], p_gone_rule_ids text[], p_gone_rule_xids bigint[],
    p_promotions text[], p_named_codes text[], p_named_promotions text[],
    p_batch uuid, p_batch_promotion text, p_batch_uses_max bigint, p_batch_expected bigint, p_batch_codes text[],
    p_audit_kinds text[], p_audit_ids text[], p_audit_bodies bytea[],
    OUT outcome text, OUT first_fingerprint uuid, OUT first_at bigint, OUT first_body bytea, OUT taken text
) LANGUAGE plpgsql AS $$
DECLARE
    first answers;
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
    IF cardinality(p_rule_ids || p_gone_rule_ids) > 0 THEN
        outcome := coalesce(
            put_rules(p_rule_kinds, p_rule_ids, p_rule_xids, p_rule_versions, p_rule_bodies),
            delete_rules(p_gone_rule_kinds, p_gone_rule_ids, p_gone_rule_xids));
        IF outcome IS NOT NULL THEN
            RAISE SQLSTATE 'CW001';
        END IF;
        taken := name_codes(p_promotions, p_named_codes, p_named_promotions, p_now);
        IF taken IS NOT NULL THEN
            outcome := 'code taken';
            RAISE SQLSTATE 'CW001';
        END IF;
    END IF;
    IF p_batch IS NOT NULL THEN
        SELECT issued.outcome, issued.taken INTO outcome, taken
        FROM issue_codes(p_batch, p_batch_promotion, p_batch_uses_max, p_batch_expected, p_batch_codes, p_now) issued;
        IF outcome IS NOT NULL THEN
            RAISE SQLSTATE 'CW001';
        END IF;
    END IF;
    INSERT INTO rule_audit (kind, id, body)
    SELECT kind, id, body FROM unnest(p_audit_kinds, p_audit_ids, p_audit_bodies) WITH ORDINALITY w (kind, id, body, place) ORDER BY place;
    IF cardinality(p_rule_ids || p_gone_rule_ids) > 0 THEN
        NOTIFY cartwright_copy;
    END IF;
EXCEPTION WHEN SQLSTATE 'CW001' THEN
    -- Undone; the outcome says why.
END $$;
