-- Ids are 16 bytes (`uuid` is only their type), times are microseconds. `body` is a record of the `records` crate; the columns
-- beside it are what queries and preconditions need. Every transaction takes its locks in this order, so that no two wait
-- for each other: answer, checkout, order, stock by edition, counters by name, notice, outbox.
--
-- Where the tables are spread over several servers by a hash, `spread by` says by which column; a unique index
-- that does not have it holds only where uniqueness is looked after across servers (as Yugabyte does).

-- Idempotency keys and their first answers, of all ports. Spread by `key`.
CREATE TABLE answers (
    key         uuid PRIMARY KEY,
    fingerprint uuid NOT NULL,
    at          bigint NOT NULL,
    body        bytea NOT NULL
);
CREATE INDEX answers_at ON answers (at);

-- That a transaction was committed, for whoever has lost the connection before the answer; an id begins with the time in
-- milliseconds. Whoever asks for one that is not there writes that it is `undone`: then it cannot be committed any more.
-- Spread by `id`.
CREATE TABLE commits (
    id     uuid PRIMARY KEY,
    undone boolean NOT NULL DEFAULT false
);

-- Spread by `id`. `checkouts_live` does not have it: carts of one owner are rarely checked out twice at once, and what must not
-- happen twice, an order, is guarded by its checkout.
CREATE TABLE checkouts (
    id         uuid PRIMARY KEY,
    version    bigint NOT NULL,
    cart       uuid NOT NULL,
    owner      bytea NOT NULL,
    created_at bigint NOT NULL,
    live       boolean NOT NULL,
    done       boolean NOT NULL,
    due_at     bigint NOT NULL,
    body       bytea NOT NULL
);
CREATE UNIQUE INDEX checkouts_live ON checkouts (cart) WHERE live;
CREATE INDEX checkouts_cart ON checkouts (cart) WHERE NOT done;
CREATE INDEX checkouts_due ON checkouts (due_at, id) WHERE NOT done;
CREATE INDEX checkouts_owner ON checkouts (owner, created_at, id);

-- Spread by `id`; `orders_checkout` and `orders_number` do not have it.
CREATE TABLE orders (
    id        uuid PRIMARY KEY,
    version   bigint NOT NULL,
    number    text NOT NULL,
    checkout  uuid NOT NULL,
    owner     bytea NOT NULL,
    placed_at bigint NOT NULL,
    status    text NOT NULL,
    payment   text NOT NULL,
    alarm_at  bigint,
    body      bytea NOT NULL
);
CREATE UNIQUE INDEX orders_checkout ON orders (checkout) WHERE status <> 'failed';
CREATE UNIQUE INDEX orders_number ON orders (number);
CREATE INDEX orders_placed ON orders (placed_at, id);
-- The status comes last: one index answers for all orders of an owner and for those of one status.
CREATE INDEX orders_owner ON orders (owner, placed_at, id, status);
CREATE INDEX orders_status ON orders (status, placed_at, id);
CREATE INDEX orders_payment ON orders (payment, placed_at, id);
CREATE INDEX orders_alarm ON orders (alarm_at, id) WHERE payment IN ('capturing', 'voiding', 'refunding');

-- Spread by `order_id`, beside the orders. `link` is SHA-256 over the link before it (32 zeros for the first) and the body.
CREATE TABLE order_events (
    order_id uuid NOT NULL,
    sequence bigint NOT NULL,
    body     bytea NOT NULL,
    link     bytea NOT NULL,
    PRIMARY KEY (order_id, sequence)
);

-- Spread by `edition`. There is room in each page for the next version of a row, as every sale changes one.
CREATE TABLE stock (
    edition  uuid PRIMARY KEY,
    on_hand  bigint NOT NULL CHECK (on_hand <= 4294967295),
    reserved bigint NOT NULL CHECK (reserved BETWEEN 0 AND on_hand),
    moves    bigint NOT NULL
) WITH (fillfactor = 50);

-- The ledger behind `stock`: `sequence` is the level's count of moves after this one. Spread by `edition`, beside the stock.
CREATE TABLE stock_moves (
    cause    text NOT NULL,
    edition  uuid NOT NULL,
    kind     text NOT NULL,
    n        bigint NOT NULL,
    sequence bigint NOT NULL,
    at       bigint NOT NULL,
    PRIMARY KEY (cause, edition)
);

-- Spread by `name`.
CREATE TABLE counters (
    name text PRIMARY KEY,
    used bigint NOT NULL CHECK (used >= 0)
) WITH (fillfactor = 50);

-- The ledger behind `counters`: `n` is positive for a use, negative for one given back. Spread by `counter`, beside the counters.
CREATE TABLE uses (
    cause   text NOT NULL,
    counter text NOT NULL,
    n       bigint NOT NULL,
    at      bigint NOT NULL,
    PRIMARY KEY (cause, counter)
);

-- Notices of the payment provider that were heeded, and when. Spread by `id`.
CREATE TABLE notices (
    id text PRIMARY KEY,
    at bigint NOT NULL
);
CREATE INDEX notices_at ON notices (at);

-- One row a commit, with its events in order; `delivered` has the places of some of them (counted from 1) until all are, then
-- the row goes. One relay reads it, so it lies in one place.
CREATE TABLE outbox (
    position  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    delivered integer[] NOT NULL DEFAULT '{}',
    events    bytea[] NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);

-- How many events were delivered when.
CREATE TABLE deliveries (
    at     bigint NOT NULL,
    events bigint NOT NULL
);
CREATE INDEX deliveries_at ON deliveries (at);

-- Which node does a job, until when; `fence` grows with every new holder. All in one place.
CREATE TABLE leases (
    job       text PRIMARY KEY,
    holder    text,
    until     bigint NOT NULL,
    fence     bigint NOT NULL,
    last_slot bigint
) WITH (fillfactor = 50);

-- Records are compressed fast where the server can.
DO $$ BEGIN
    ALTER TABLE checkouts ALTER body SET COMPRESSION lz4;
    ALTER TABLE orders ALTER body SET COMPRESSION lz4;
    ALTER TABLE order_events ALTER body SET COMPRESSION lz4;
    ALTER TABLE answers ALTER body SET COMPRESSION lz4;
    ALTER TABLE outbox ALTER events SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
    -- As it was built.
END $$;

-- Puts the events of a transaction into the outbox: the last thing it does, when it holds its other locks. So of two
-- transactions about one subject the later one has the later position.
CREATE FUNCTION send(p_events bytea[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF cardinality(p_events) > 0 THEN
        -- Before the position is drawn: see how the outbox is read.
        PERFORM pg_current_xact_id();
        INSERT INTO outbox (events) VALUES (p_events);
    END IF;
END $$;

-- The event of a move, as the `records` crate writes it; a test compares them.
CREATE FUNCTION stock_event(
    p_subject text, p_kind text, p_n bigint, p_cause text, p_on_hand bigint, p_reserved bigint, p_moves bigint, p_now bigint
) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
    SELECT convert_to(format(
        '{"v":1,"id":"%1$s.%2$s","subject":"%1$s","sequence":%2$s,"time":%3$s,"type":"stock.%4$s","data":{"n":%5$s,"cause":%6$s,"on_hand":%7$s,"reserved":%8$s,"moves":%2$s}}',
        p_subject, p_moves, p_now,
        CASE p_kind
            WHEN 'reserve' THEN 'reserved' WHEN 'release' THEN 'released' WHEN 'consume' THEN 'consumed'
            WHEN 'return' THEN 'returned' WHEN 'receive' THEN 'received' WHEN 'count' THEN 'counted' END,
        p_n, to_json(p_cause), p_on_hand, p_reserved), 'UTF8')
$$;

-- `move_stock` for the usual case, with as few statements as there can be: every level has its row, none refuses, no
-- cause was applied before. In any other it raises CW002 or a unique violation, and the caller undoes the transaction and does it
-- carefully. A change of a level is given as two differences.
CREATE FUNCTION move_stock_at_once(
    p_editions uuid[], p_subjects text[], p_kinds text[], p_ns bigint[], p_causes text[], p_on_hand bigint[], p_reserved bigint[],
    p_now bigint, OUT events bytea[], OUT levels bigint[]
) LANGUAGE plpgsql AS $$
DECLARE
    sequences bigint[];
    a bigint;
    b bigint;
    c bigint;
BEGIN
    FOR i IN 1 .. cardinality(p_editions) LOOP
        UPDATE stock SET on_hand = on_hand + p_on_hand[i], reserved = reserved + p_reserved[i], moves = moves + 1
        WHERE edition = p_editions[i] AND reserved + p_reserved[i] BETWEEN 0 AND on_hand + p_on_hand[i]
            AND on_hand + p_on_hand[i] <= 4294967295
        RETURNING on_hand, reserved, moves INTO a, b, c;
        IF NOT FOUND THEN
            RAISE SQLSTATE 'CW002';
        END IF;
        sequences[i] := c;
        levels := levels || ARRAY[i, a, b, c];
        events := events || stock_event(p_subjects[i], p_kinds[i], p_ns[i], p_causes[i], a, b, c, p_now);
    END LOOP;
    INSERT INTO stock_moves (cause, edition, kind, n, sequence, at)
    SELECT cause, edition, kind, n, sequence, p_now
    FROM unnest(p_causes, p_editions, p_kinds, p_ns, sequences) moved (cause, edition, kind, n, sequence);
END $$;

-- Moves stock, in the order given, which has to be by edition; `subjects` are the editions' public names. Gives the events of
-- what was moved, with four numbers for each (which move, counted from 1, and the level after it: on hand, reserved,
-- moves), and two for each move that the level refuses (which, and what is available): the caller undoes the transaction then.
CREATE FUNCTION move_stock(
    p_editions uuid[], p_subjects text[], p_kinds text[], p_ns bigint[], p_causes text[], p_now bigint,
    OUT events bytea[], OUT levels bigint[], OUT short bigint[]
) LANGUAGE plpgsql AS $$
DECLARE
    level record;
    available bigint;
    locked boolean;
BEGIN
    events := '{}';
    levels := '{}';
    short := '{}';
    FOR i IN 1 .. cardinality(p_editions) LOOP
        locked := false;
        LOOP
            WITH moved AS (
                UPDATE stock SET
                    on_hand = CASE p_kinds[i]
                        WHEN 'consume' THEN on_hand - p_ns[i]
                        WHEN 'return' THEN on_hand + p_ns[i]
                        WHEN 'receive' THEN on_hand + p_ns[i]
                        WHEN 'count' THEN p_ns[i]
                        ELSE on_hand END,
                    reserved = CASE p_kinds[i]
                        WHEN 'reserve' THEN reserved + p_ns[i]
                        WHEN 'release' THEN reserved - p_ns[i]
                        WHEN 'consume' THEN reserved - p_ns[i]
                        ELSE reserved END,
                    moves = moves + 1
                WHERE edition = p_editions[i]
                    AND CASE p_kinds[i]
                        WHEN 'reserve' THEN on_hand - reserved >= p_ns[i]
                        WHEN 'release' THEN reserved >= p_ns[i]
                        WHEN 'consume' THEN reserved >= p_ns[i]
                        WHEN 'return' THEN on_hand + p_ns[i] <= 4294967295
                        WHEN 'receive' THEN on_hand + p_ns[i] BETWEEN reserved AND 4294967295
                        WHEN 'count' THEN reserved <= p_ns[i] END
                    AND NOT EXISTS (SELECT FROM stock_moves WHERE cause = p_causes[i] AND edition = p_editions[i])
                RETURNING on_hand, reserved, moves
            ), line AS (
                INSERT INTO stock_moves (cause, edition, kind, n, sequence, at)
                SELECT p_causes[i], p_editions[i], p_kinds[i], p_ns[i], moves, p_now FROM moved
            )
            SELECT * INTO level FROM moved;
            EXIT WHEN FOUND;
            -- Its cause was applied before, or there is too little, or no row yet. Only under a lock is that certain.
            EXIT WHEN EXISTS (SELECT FROM stock_moves WHERE cause = p_causes[i] AND edition = p_editions[i]);
            IF locked THEN
                short := short || ARRAY[i, available];
                EXIT;
            END IF;
            SELECT on_hand - reserved INTO available FROM stock WHERE edition = p_editions[i] FOR UPDATE;
            locked := FOUND;
            IF NOT locked THEN
                INSERT INTO stock (edition, on_hand, reserved, moves) VALUES (p_editions[i], 0, 0, 0) ON CONFLICT DO NOTHING;
            END IF;
        END LOOP;
        CONTINUE WHEN level IS NULL;
        levels := levels || ARRAY[i, level.on_hand, level.reserved, level.moves];
        events := events || stock_event(
            p_subjects[i], p_kinds[i], p_ns[i], p_causes[i], level.on_hand, level.reserved, level.moves, p_now);
    END LOOP;
END $$;

-- Counts uses, in the order given, which has to be by counter; negative ones are given back, at most what is used. Gives the
-- first (counted from 1) that exceeds its limit; the caller undoes the transaction then.
CREATE FUNCTION count_uses(p_counters text[], p_by bigint[], p_limits bigint[], p_causes text[], p_now bigint) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    before bigint;
    after bigint;
BEGIN
    FOR i IN 1 .. cardinality(p_counters) LOOP
        LOOP
            SELECT used INTO before FROM counters WHERE name = p_counters[i] FOR UPDATE;
            EXIT WHEN FOUND;
            INSERT INTO counters (name, used) VALUES (p_counters[i], 0) ON CONFLICT DO NOTHING;
        END LOOP;
        after := greatest(before + p_by[i], 0);
        INSERT INTO uses (cause, counter, n, at) VALUES (p_causes[i], p_counters[i], after - before, p_now) ON CONFLICT DO NOTHING;
        CONTINUE WHEN NOT FOUND;
        IF after > p_limits[i] THEN
            RETURN i;
        END IF;
        UPDATE counters SET used = after WHERE name = p_counters[i];
    END LOOP;
    RETURN NULL;
END $$;

-- Remembers an answer, or finds the first one to its key.
CREATE FUNCTION remember(p_key uuid, p_fingerprint uuid, p_at bigint, p_body bytea) RETURNS answers LANGUAGE plpgsql AS $$
DECLARE
    first answers;
BEGIN
    LOOP
        INSERT INTO answers (key, fingerprint, at, body) VALUES (p_key, p_fingerprint, p_at, p_body) ON CONFLICT DO NOTHING;
        EXIT WHEN FOUND;
        SELECT * INTO first FROM answers WHERE key = p_key;
        -- Else it has been forgotten in between.
        EXIT WHEN FOUND;
    END LOOP;
    RETURN first;
END $$;

-- Stores a checkout's next state. What does not hold, or null.
CREATE FUNCTION put_checkout(next checkouts, p_expected bigint, OUT outcome text, OUT taken uuid) LANGUAGE plpgsql AS $$
BEGIN
    IF p_expected = 0 THEN
        INSERT INTO checkouts SELECT next.* ON CONFLICT DO NOTHING;
    ELSE
        UPDATE checkouts SET
            version = next.version, cart = next.cart, owner = next.owner, live = next.live, done = next.done,
            due_at = next.due_at, body = next.body
        WHERE id = next.id AND version = p_expected
            AND NOT (next.live AND EXISTS (SELECT FROM checkouts other WHERE other.cart = next.cart AND other.live AND other.id <> next.id));
    END IF;
    IF FOUND THEN
        RETURN;
    END IF;
    SELECT id INTO taken FROM checkouts WHERE cart = next.cart AND live AND id <> next.id;
    IF FOUND AND p_expected = coalesce((SELECT version FROM checkouts WHERE id = next.id), 0) THEN
        outcome := 'cart taken';
    ELSE
        outcome := 'checkout conflict';
    END IF;
END $$;

-- The links of events that follow one another, the first after `last`.
CREATE FUNCTION links(p_last bytea, p_events bytea[]) RETURNS bytea[] LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    links bytea[];
    last bytea := p_last;
BEGIN
    FOR i IN 1 .. cardinality(p_events) LOOP
        last := sha256(last || p_events[i]);
        links[i] := last;
    END LOOP;
    RETURN links;
END $$;

-- Whether a transaction that nobody was told of was committed; if not, it never will be.
CREATE FUNCTION did_it_happen(p_commit uuid) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    happened boolean;
BEGIN
    INSERT INTO commits (id, undone) VALUES (p_commit, true) ON CONFLICT DO NOTHING;
    SELECT NOT undone INTO STRICT happened FROM commits WHERE id = p_commit;
    RETURN happened;
END $$;

-- Marks events as delivered: a row is gone with its last one. One of another row, or twice, changes nothing.
CREATE FUNCTION deliver(p_positions bigint[], p_places integer[], p_now bigint) RETURNS void LANGUAGE sql AS $$
    WITH told AS (
        SELECT position, array_agg(DISTINCT place) AS places FROM unnest(p_positions, p_places) given (position, place) GROUP BY position
    ), locked AS (
        SELECT position, delivered, cardinality(events) AS events FROM outbox WHERE position = ANY (p_positions) FOR UPDATE
    ), news AS (
        SELECT position, events - cardinality(delivered) AS waiting,
            ARRAY(SELECT unnest(places) EXCEPT SELECT unnest(delivered)) AS places
        FROM told JOIN locked USING (position)
    ), whole AS (
        DELETE FROM outbox USING news WHERE outbox.position = news.position AND cardinality(places) = waiting
    ), part AS (
        UPDATE outbox SET delivered = delivered || places FROM news
        WHERE outbox.position = news.position AND cardinality(places) BETWEEN 1 AND waiting - 1
    )
    INSERT INTO deliveries (at, events) SELECT p_now, sum(cardinality(places)) FROM news HAVING sum(cardinality(places)) > 0
$$;

-- Forgets deliveries before an instant, the oldest first, of at most so many events; says of how many.
CREATE FUNCTION forget_deliveries(p_before bigint, p_most bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    one record;
    forgotten bigint := 0;
BEGIN
    FOR one IN SELECT ctid, events FROM deliveries WHERE at < p_before ORDER BY at FOR UPDATE SKIP LOCKED LOOP
        EXIT WHEN forgotten = p_most;
        IF forgotten + one.events > p_most THEN
            UPDATE deliveries SET events = forgotten + one.events - p_most WHERE ctid = one.ctid;
            RETURN p_most;
        END IF;
        DELETE FROM deliveries WHERE ctid = one.ctid;
        forgotten := forgotten + one.events;
    END LOOP;
    RETURN forgotten;
END $$;

-- Makes every line of a change true, or none and says which does not hold: `Ledger::commit`, in one call. The usual one is
-- done at once; where that does not hold, the outcome is `carefully`, and the same is asked for again.
CREATE FUNCTION commit_change(
    p_commit uuid, p_carefully boolean, p_now bigint,
    p_answer_key uuid, p_answer_fingerprint uuid, p_answer_at bigint, p_answer_body bytea,
    p_checkout_id uuid, p_checkout_expected bigint, p_checkout_version bigint, p_checkout_cart uuid, p_checkout_owner bytea,
    p_checkout_created_at bigint, p_checkout_live boolean, p_checkout_done boolean, p_checkout_due_at bigint, p_checkout_body bytea,
    p_order_id uuid, p_order_expected bigint, p_order_version bigint, p_order_number text, p_order_checkout uuid, p_order_owner bytea,
    p_order_placed_at bigint, p_order_status text, p_order_payment text, p_order_body bytea, p_order_events bytea[],
    p_alarm_order uuid, p_alarm_at bigint,
    p_stock_editions uuid[], p_stock_subjects text[], p_stock_kinds text[], p_stock_ns bigint[], p_stock_causes text[],
    p_stock_on_hand bigint[], p_stock_reserved bigint[],
    p_use_counters text[], p_use_by bigint[], p_use_limits bigint[], p_use_causes text[],
    p_notice text, p_outbox bytea[],
    OUT outcome text, OUT first_fingerprint uuid, OUT first_at bigint, OUT first_body bytea,
    OUT taken uuid, OUT levels bigint[], OUT short bigint[], OUT used_up integer
) LANGUAGE plpgsql AS $$
DECLARE
    first answers;
    events bytea[];
BEGIN
    -- Before the position is drawn: see how the outbox is read.
    PERFORM pg_current_xact_id();
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
    IF p_checkout_id IS NOT NULL THEN
        SELECT put.outcome, put.taken INTO outcome, taken FROM put_checkout(
            ROW(p_checkout_id, p_checkout_version, p_checkout_cart, p_checkout_owner, p_checkout_created_at, p_checkout_live,
                p_checkout_done, p_checkout_due_at, p_checkout_body), p_checkout_expected) put;
        IF outcome IS NOT NULL THEN
            RAISE SQLSTATE 'CW001';
        END IF;
    END IF;
    IF p_order_expected = 0 THEN
        WITH placed AS (
            INSERT INTO orders (id, version, number, checkout, owner, placed_at, status, payment, alarm_at, body) VALUES (
                p_order_id, p_order_version, p_order_number, p_order_checkout, p_order_owner, p_order_placed_at, p_order_status,
                p_order_payment, CASE WHEN p_alarm_order = p_order_id THEN p_alarm_at END, p_order_body)
            ON CONFLICT DO NOTHING RETURNING id
        )
        INSERT INTO order_events (order_id, sequence, body, link) SELECT id, sequence, body, link
        FROM placed, unnest(p_order_events, links(decode(repeat('00', 32), 'hex'), p_order_events)) WITH ORDINALITY event (body, link, sequence);
        IF NOT FOUND THEN
            outcome := CASE
                WHEN EXISTS (SELECT FROM orders WHERE id = p_order_id) THEN 'order conflict'
                WHEN EXISTS (SELECT FROM orders WHERE checkout = p_order_checkout AND status <> 'failed') THEN 'order conflict'
                ELSE 'number taken' END;
            RAISE SQLSTATE 'CW001';
        END IF;
    ELSIF p_order_expected > 0 THEN
        WITH appended AS (
            UPDATE orders SET
                version = p_order_version, status = p_order_status, payment = p_order_payment, body = p_order_body,
                alarm_at = CASE WHEN p_alarm_order = p_order_id THEN p_alarm_at ELSE alarm_at END
            WHERE id = p_order_id AND version = p_order_expected RETURNING id
        )
        INSERT INTO order_events (order_id, sequence, body, link) SELECT id, p_order_expected + sequence, body, link
        FROM appended, unnest(p_order_events, links(
            (SELECT link FROM order_events WHERE order_id = p_order_id AND sequence = p_order_expected), p_order_events
        )) WITH ORDINALITY event (body, link, sequence);
        IF NOT FOUND THEN
            outcome := 'order conflict';
            RAISE SQLSTATE 'CW001';
        END IF;
    END IF;
    IF p_alarm_order IS DISTINCT FROM p_order_id AND p_alarm_order IS NOT NULL THEN
        UPDATE orders SET alarm_at = p_alarm_at WHERE id = p_alarm_order;
    END IF;
    IF cardinality(p_stock_editions) > 0 THEN
        IF p_carefully THEN
            SELECT moved.events, moved.levels, moved.short INTO events, levels, short
            FROM move_stock(p_stock_editions, p_stock_subjects, p_stock_kinds, p_stock_ns, p_stock_causes, p_now) moved;
        ELSE
            SELECT moved.events, moved.levels INTO events, levels FROM move_stock_at_once(
                p_stock_editions, p_stock_subjects, p_stock_kinds, p_stock_ns, p_stock_causes, p_stock_on_hand, p_stock_reserved, p_now) moved;
        END IF;
        IF cardinality(short) > 0 THEN
            outcome := 'stock short';
            RAISE SQLSTATE 'CW001';
        END IF;
    END IF;
    IF cardinality(p_use_counters) > 0 THEN
        used_up := count_uses(p_use_counters, p_use_by, p_use_limits, p_use_causes, p_now);
        IF used_up IS NOT NULL THEN
            outcome := 'used up';
            RAISE SQLSTATE 'CW001';
        END IF;
    END IF;
    IF p_notice IS NOT NULL THEN
        INSERT INTO notices (id, at) VALUES (p_notice, p_now) ON CONFLICT DO NOTHING;
    END IF;
    WITH committed AS (INSERT INTO commits (id) VALUES (p_commit))
    INSERT INTO outbox (events) SELECT told FROM (VALUES (p_outbox || events)) new (told) WHERE cardinality(told) > 0;
EXCEPTION
    WHEN SQLSTATE 'CW001' THEN
        -- Undone; the outcome says why.
    WHEN SQLSTATE 'CW002' OR unique_violation THEN
        IF p_carefully THEN
            RAISE;
        END IF;
        outcome := 'carefully';
END $$;
