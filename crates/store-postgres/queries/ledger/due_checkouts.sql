SELECT body FROM checkouts WHERE NOT done AND due_at <= $1 ORDER BY due_at, id LIMIT $2
