SELECT body FROM orders WHERE id = $1
