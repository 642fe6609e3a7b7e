-- A cart has one live checkout at a time; if it has none, the last created is the last to have ended.
SELECT body FROM checkouts WHERE cart = $1 AND NOT done ORDER BY live DESC, created_at DESC, id DESC LIMIT 1
