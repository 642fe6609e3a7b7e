-- An order's events are written once: the outbox names those of them that it would repeat.
--
-- `outgoing` has the rows that were in `outbox`, which is now what is to be read in them: whole events. Whoever does not know of names
-- goes on with `outbox` as a table of its own.
ALTER TABLE outbox RENAME TO outgoing;
-- Of an event that has a sequence here only the beginning is in `events`. What it says is in the order's event of that sequence, from its type on;
-- events of orders stay for ever.
ALTER TABLE outgoing ADD order_id uuid, ADD sequences bigint[];

-- `,"type":"`, which in a record is nowhere else: inside a text its quotes would be escaped.
CREATE FUNCTION what_is_said(p_body bytea) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
    SELECT substring(p_body FROM position('\x2c2274797065223a22'::bytea IN p_body))
$$;

CREATE VIEW outbox AS
SELECT position, delivered, CASE WHEN sequences IS NULL THEN events ELSE ARRAY(
    SELECT CASE WHEN sequence IS NULL THEN event ELSE event || (
        SELECT what_is_said(body) FROM order_events told WHERE told.order_id = outgoing.order_id AND told.sequence = given.sequence) END
    FROM unnest(events, sequences) WITH ORDINALITY given (event, sequence, place) ORDER BY place
) END AS events
FROM outgoing;

CREATE FUNCTION send_whole() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO outgoing (events) VALUES (NEW.events);
    RETURN NEW;
END $$;
CREATE TRIGGER send_whole INSTEAD OF INSERT ON outbox FOR EACH ROW EXECUTE FUNCTION send_whole();

-- `deliver`, which puts no events together.
CREATE FUNCTION deliver_outgoing(p_positions bigint[], p_places integer[], p_now bigint) RETURNS void LANGUAGE sql AS $$
    WITH told AS (
        SELECT position, array_agg(DISTINCT place) AS places FROM unnest(p_positions, p_places) given (position, place) GROUP BY position
    ), locked AS (
        SELECT position, delivered, cardinality(events) AS events FROM outgoing WHERE position = ANY (p_positions) FOR UPDATE
    ), news AS (
        SELECT position, events - cardinality(delivered) AS waiting,
            ARRAY(SELECT unnest(places) EXCEPT SELECT unnest(delivered)) AS places
        FROM told JOIN locked USING (position)
    ), whole AS (
        DELETE FROM outgoing USING news WHERE outgoing.position = news.position AND cardinality(places) = waiting
    ), part AS (
        UPDATE outgoing SET delivered = delivered || places FROM news
        WHERE outgoing.position = news.position AND cardinality(places) BETWEEN 1 AND waiting - 1
    )
    INSERT INTO deliveries (at, events) SELECT p_now, sum(cardinality(places)) FROM news HAVING sum(cardinality(places)) > 0
$$;

-- Makes every line of many changes true at once, as `commit_change` does for each: one statement a table, the locks in
-- the order of every transaction over the whole group. Arrays that begin alike are the columns of one list; `changes`
-- says which change, counted from 1, each line is of. No two of the changes are about the same answer, checkout or
-- order; changes come by order, stock by change and then by edition, uses by counter.
--
-- The events of an order that is placed come with their links; those of any other are linked here. `p_alarms` has the alarms of the orders
-- that are changed, `p_alarm_orders` those of others. An event that goes out has an order where it is one of the order's events.
--
-- Where a change does not hold, or perhaps not, nothing is done: `together` is false, and `alone` has the changes to be
-- committed by themselves; null when that cannot be said. Somebody else's lock is waited for no longer than so many
-- milliseconds.
CREATE FUNCTION commit_group(
    p_commit uuid, p_lock_max bigint, p_nows bigint[],
    p_answer_keys uuid[], p_answer_fingerprints uuid[], p_answer_ats bigint[], p_answer_bodies bytea[],
    p_checkout_ids uuid[], p_checkout_expected bigint[], p_checkout_versions bigint[], p_checkout_carts uuid[], p_checkout_owners bytea[],
    p_checkout_created_ats bigint[], p_checkout_live boolean[], p_checkout_done boolean[], p_checkout_due_ats bigint[],
    p_checkout_bodies bytea[],
    p_order_ids uuid[], p_order_expected bigint[], p_order_versions bigint[], p_order_numbers text[], p_order_checkouts uuid[],
    p_order_owners bytea[], p_order_placed_ats bigint[], p_order_statuses text[], p_order_payments text[], p_order_bodies bytea[],
    p_events bytea[],
    p_alarm_orders uuid[], p_alarm_ats bigint[],
    p_stock_editions uuid[], p_stock_subjects text[], p_stock_kinds text[], p_stock_ns bigint[], p_stock_causes text[],
    p_stock_on_hand bigint[], p_stock_reserved bigint[],
    p_use_counters text[], p_use_by bigint[], p_use_limits bigint[], p_use_causes text[],
    p_notices text[], p_outbox bytea[],
    p_answer_changes integer[], p_checkout_changes integer[], p_order_changes integer[],
    p_stock_changes integer[], p_use_changes integer[], p_notice_changes integer[], p_outbox_changes integer[],
    p_alarms bigint[], p_event_orders uuid[], p_event_sequences bigint[], p_event_links bytea[],
    p_outbox_orders uuid[], p_outbox_sequences bigint[],
    OUT together boolean, OUT alone integer[], OUT level_editions uuid[], OUT level_on_hand bigint[], OUT level_reserved bigint[], OUT level_moves bigint[]
) LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    stock_changes integer[];
    stock_events bytea[];
    used_up integer;
BEGIN
    together := false;
    alone := '{}';
    PERFORM set_config('lock_timeout', p_lock_max::text, true);
    -- Before the position is drawn: see how the outbox is read.
    PERFORM pg_current_xact_id();
    IF cardinality(p_answer_keys) > 0 THEN
        WITH remembered AS (
            INSERT INTO answers (key, fingerprint, at, body)
            SELECT * FROM unnest(p_answer_keys, p_answer_fingerprints, p_answer_ats, p_answer_bodies) given (key) ORDER BY key
            ON CONFLICT DO NOTHING RETURNING key
        )
        SELECT alone || array_agg(change) INTO alone FROM unnest(p_answer_changes, p_answer_keys) given (change, key)
        WHERE NOT EXISTS (SELECT FROM remembered WHERE remembered.key = given.key);
    END IF;
    IF cardinality(p_checkout_ids) > 0 THEN
        PERFORM FROM checkouts WHERE id = ANY (p_checkout_ids) ORDER BY id FOR UPDATE;
        WITH next AS (
            SELECT * FROM unnest(
                p_checkout_changes, p_checkout_ids, p_checkout_expected, p_checkout_versions, p_checkout_carts, p_checkout_owners,
                p_checkout_created_ats, p_checkout_live, p_checkout_done, p_checkout_due_ats, p_checkout_bodies
            ) given (change, id, expected, version, cart, owner, created_at, live, done, due_at, body)
        ), begun AS (
            INSERT INTO checkouts (id, version, cart, owner, created_at, live, done, due_at, body)
            SELECT id, version, cart, owner, created_at, live, done, due_at, body FROM next WHERE expected = 0 ORDER BY id
            ON CONFLICT DO NOTHING RETURNING id
        ), changed AS (
            UPDATE checkouts SET
                version = next.version, cart = next.cart, owner = next.owner, live = next.live, done = next.done,
                due_at = next.due_at, body = next.body
            FROM next WHERE checkouts.id = next.id AND checkouts.version = next.expected
            RETURNING checkouts.id
        )
        SELECT alone || array_agg(change) INTO alone FROM next
        WHERE id NOT IN (SELECT id FROM begun UNION ALL SELECT id FROM changed);
    END IF;
    IF 0 = ANY (p_order_expected) THEN
        WITH placed AS (
            INSERT INTO orders (id, version, number, checkout, owner, placed_at, status, payment, alarm_at, body)
            SELECT id, version, number, checkout, owner, placed_at, status, payment, alarm_at, body FROM unnest(
                p_order_ids, p_order_expected, p_order_versions, p_order_numbers, p_order_checkouts, p_order_owners,
                p_order_placed_ats, p_order_statuses, p_order_payments, p_alarms, p_order_bodies
            ) given (id, expected, version, number, checkout, owner, placed_at, status, payment, alarm_at, body)
            WHERE expected = 0
            ON CONFLICT DO NOTHING RETURNING id
        )
        SELECT alone || array_agg(change) INTO alone
        FROM unnest(p_order_changes, p_order_ids, p_order_expected) given (change, id, expected)
        WHERE expected = 0 AND id NOT IN (SELECT id FROM placed);
    END IF;
    IF 0 < ANY (p_order_expected) OR cardinality(p_alarm_orders) > 0 THEN
        PERFORM FROM orders WHERE id = ANY (p_order_ids || p_alarm_orders) ORDER BY id FOR UPDATE;
        UPDATE orders SET alarm_at = alarm.at FROM unnest(p_alarm_orders, p_alarm_ats) alarm (id, at)
        WHERE orders.id = alarm.id AND orders.id <> ALL (p_order_ids);
        WITH next AS MATERIALIZED (
            SELECT * FROM unnest(
                p_order_changes, p_order_ids, p_order_expected, p_order_versions, p_order_statuses, p_order_payments, p_alarms, p_order_bodies
            ) given (change, id, expected, version, status, payment, alarm_at, body)
            WHERE expected > 0
        ), appended AS (
            UPDATE orders SET
                version = next.version, status = next.status, payment = next.payment, body = next.body,
                alarm_at = coalesce(next.alarm_at, orders.alarm_at)
            FROM next WHERE orders.id = next.id AND orders.version = next.expected
            RETURNING orders.id
        )
        SELECT alone || array_agg(change) INTO alone FROM next WHERE id NOT IN (SELECT id FROM appended);
    END IF;
    IF cardinality(p_stock_editions) > 0 THEN
        WITH level AS MATERIALIZED (
            SELECT edition, on_hand, reserved, moves FROM stock WHERE edition = ANY (p_stock_editions) ORDER BY edition FOR UPDATE
        ), line AS MATERIALIZED (
            SELECT *, (reserved BETWEEN 0 AND on_hand AND on_hand <= 4294967295) IS TRUE AS holds FROM (
                SELECT change, edition, subject, kind, n, cause, p_nows[change] AS at,
                    (level.on_hand + sum(given.on_hand) OVER running)::bigint AS on_hand,
                    (level.reserved + sum(given.reserved) OVER running)::bigint AS reserved,
                    moves + row_number() OVER running AS moves,
                    lead(true) OVER running IS NULL AS last
                FROM unnest(
                    p_stock_changes, p_stock_editions, p_stock_subjects, p_stock_kinds, p_stock_ns, p_stock_causes,
                    p_stock_on_hand, p_stock_reserved
                ) WITH ORDINALITY given (change, edition, subject, kind, n, cause, on_hand, reserved, place)
                LEFT JOIN level USING (edition)
                WINDOW running AS (PARTITION BY edition ORDER BY place)
            ) led
        ), counted AS (
            UPDATE stock SET on_hand = line.on_hand, reserved = line.reserved, moves = line.moves
            FROM line WHERE last AND holds AND stock.edition = line.edition
        ), moved AS (
            INSERT INTO stock_moves (cause, edition, kind, n, sequence, at)
            SELECT cause, edition, kind, n, moves, at FROM line WHERE holds
        )
        SELECT alone || array_agg(change) FILTER (WHERE NOT holds),
            array_agg(change), array_agg(stock_event(subject, kind, n, cause, on_hand, reserved, moves, at)),
            array_agg(edition) FILTER (WHERE last), array_agg(on_hand) FILTER (WHERE last),
            array_agg(reserved) FILTER (WHERE last), array_agg(moves) FILTER (WHERE last)
        INTO alone, stock_changes, stock_events, level_editions, level_on_hand, level_reserved, level_moves FROM line;
    END IF;
    IF cardinality(alone) > 0 THEN
        RAISE SQLSTATE 'CW001';
    END IF;
    IF cardinality(p_events) > 0 THEN
        INSERT INTO order_events (order_id, sequence, body, link)
        SELECT order_id, sequence, body, link
        FROM unnest(p_event_orders, p_event_sequences, p_events, p_event_links) given (order_id, sequence, body, link)
        WHERE link IS NOT NULL;
    END IF;
    IF 0 < ANY (p_order_expected) THEN
        INSERT INTO order_events (order_id, sequence, body, link)
        SELECT order_id, last + place, event.body, event.link
        FROM (
            SELECT order_id, min(sequence) - 1 AS last, array_agg(body ORDER BY sequence) AS events
            FROM unnest(p_event_orders, p_event_sequences, p_events, p_event_links) given (order_id, sequence, body, link)
            WHERE link IS NULL GROUP BY order_id
        ) given, unnest(events, links(
            (SELECT link FROM order_events before WHERE before.order_id = given.order_id AND before.sequence = given.last), events
        )) WITH ORDINALITY event (body, link, place);
    END IF;
    IF cardinality(p_use_counters) > 0 THEN
        used_up := count_uses(p_use_counters, p_use_by, p_use_limits, p_use_causes, p_nows[1]);
        IF used_up IS NOT NULL THEN
            alone := ARRAY(
                SELECT DISTINCT change FROM unnest(p_use_changes, p_use_counters) WITH ORDINALITY given (change, counter, place)
                WHERE counter = p_use_counters[used_up] AND place >= used_up);
            RAISE SQLSTATE 'CW001';
        END IF;
    END IF;
    IF cardinality(p_notices) > 0 THEN
        INSERT INTO notices (id, at)
        SELECT id, p_nows[change] FROM unnest(p_notices, p_notice_changes) given (id, change) ORDER BY id ON CONFLICT DO NOTHING;
    END IF;
    WITH committed AS (INSERT INTO commits (id) VALUES (p_commit))
    INSERT INTO outgoing (events, order_id, sequences)
    SELECT array_agg(event ORDER BY place), (array_agg(order_id) FILTER (WHERE order_id IS NOT NULL))[1],
        CASE WHEN count(sequence) > 0 THEN array_agg(sequence ORDER BY place) END
    FROM (
        SELECT * FROM unnest(p_outbox_changes, p_outbox, p_outbox_orders, p_outbox_sequences)
            WITH ORDINALITY given (change, event, order_id, sequence, place)
        UNION ALL
        SELECT change, event, NULL, NULL, cardinality(p_outbox) + place
        FROM unnest(stock_changes, stock_events) WITH ORDINALITY given (change, event, place)
    ) told
    GROUP BY change ORDER BY change;
    together := true;
EXCEPTION
    WHEN SQLSTATE 'CW001' THEN
        -- Undone; `alone` says because of whom.
    WHEN unique_violation OR lock_not_available THEN
        alone := NULL;
END $$;
