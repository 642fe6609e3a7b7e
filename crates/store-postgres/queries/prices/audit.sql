-- What was changed, newest first, before a place.
SELECT sequence, body FROM rule_audit WHERE sequence < $1 ORDER BY sequence DESC LIMIT $2
