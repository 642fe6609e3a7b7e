-- What was changed of one rule, newest first, before a place.
SELECT sequence, body FROM rule_audit WHERE kind = $1 AND id = $2 AND sequence < $3 ORDER BY sequence DESC LIMIT $4
