-- An id begins with its time.
DELETE FROM commits WHERE id = ANY (ARRAY(SELECT id FROM commits WHERE id < $1 ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED))
