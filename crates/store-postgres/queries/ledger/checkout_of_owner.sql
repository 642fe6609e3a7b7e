SELECT body FROM checkouts WHERE owner = $1 ORDER BY created_at DESC, id DESC LIMIT 1
