-- What has become visible since the snapshot of the read before ($1), and the snapshot it is as of. A transaction that
-- wrote early and commits late is in the first read after its commit, whatever was read before; no order of
-- numbers is trusted. Rows with a transaction that this server has not begun come from another server's dump. Catalog
-- and stock only if $2 says so.
WITH last AS MATERIALIZED (
    SELECT s.snapshot, pg_snapshot_xmin(s.snapshot) AS first, pg_snapshot_xmax(pg_current_snapshot()) AS next
    FROM (SELECT $1::text::pg_snapshot AS snapshot) s
)
SELECT 'now' AS what, NULL AS kind, pg_current_snapshot()::text AS key, NULL::bytea AS body, NULL::uuid AS edition,
       NULL::bigint AS on_hand, NULL::bigint AS reserved, NULL::bigint AS moves
UNION ALL
SELECT 'removed', kind, key, NULL, NULL, NULL, NULL, NULL FROM removed
WHERE xid >= (SELECT first FROM last) AND xid < (SELECT next FROM last)
      AND NOT pg_visible_in_snapshot(xid, (SELECT snapshot FROM last))
UNION ALL
SELECT 'heading', NULL, NULL, body, NULL, NULL, NULL, NULL FROM headings
WHERE $2 AND xid >= (SELECT first FROM last) AND xid < (SELECT next FROM last)
      AND NOT pg_visible_in_snapshot(xid, (SELECT snapshot FROM last))
UNION ALL
SELECT 'book', NULL, NULL, body, NULL, NULL, NULL, NULL FROM books
WHERE $2 AND xid >= (SELECT first FROM last) AND xid < (SELECT next FROM last)
      AND NOT pg_visible_in_snapshot(xid, (SELECT snapshot FROM last))
UNION ALL
SELECT 'rule', NULL, NULL, body, NULL, NULL, NULL, NULL FROM rules
WHERE xid >= (SELECT first FROM last) AND xid < (SELECT next FROM last)
      AND NOT pg_visible_in_snapshot(xid, (SELECT snapshot FROM last))
UNION ALL
SELECT 'level', NULL, NULL, NULL, edition, on_hand, reserved, moves FROM stock
WHERE $2 AND edition IN (SELECT edition FROM stock_moves
                  WHERE xid >= (SELECT first FROM last) AND xid < (SELECT next FROM last)
                        AND NOT pg_visible_in_snapshot(xid, (SELECT snapshot FROM last)))
