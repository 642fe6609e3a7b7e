-- From the floor on, which holds only on the server it was found on: another one may not know of the last positions.
SELECT position, delivered, events FROM outbox
WHERE position >= CASE WHEN pg_postmaster_start_time() = to_timestamp($2) THEN $1::bigint ELSE 0 END
ORDER BY position LIMIT $3
