-- Everything that nodes keep in memory, and the snapshot it is as of; catalog and stock only if $1 says so.
SELECT 'now' AS what, NULL AS kind, pg_current_snapshot()::text AS key, NULL::bytea AS body, NULL::uuid AS edition,
       NULL::bigint AS on_hand, NULL::bigint AS reserved, NULL::bigint AS moves
UNION ALL SELECT 'heading', NULL, NULL, body, NULL, NULL, NULL, NULL FROM headings WHERE $1
UNION ALL SELECT 'book', NULL, NULL, body, NULL, NULL, NULL, NULL FROM books WHERE $1
UNION ALL SELECT 'rule', NULL, NULL, body, NULL, NULL, NULL, NULL FROM rules
UNION ALL SELECT 'level', NULL, NULL, NULL, edition, on_hand, reserved, moves FROM stock WHERE $1
