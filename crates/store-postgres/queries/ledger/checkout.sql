SELECT body FROM checkouts WHERE id = $1
