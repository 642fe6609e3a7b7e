-- Every order with its events, in order.
SELECT o.id, o.body, e.body AS event FROM orders o LEFT JOIN order_events e ON e.order_id = o.id ORDER BY o.id, e.sequence
