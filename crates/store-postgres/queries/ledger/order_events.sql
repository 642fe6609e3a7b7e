SELECT body FROM order_events WHERE order_id = $1 ORDER BY sequence
