-- What does not agree with what is stored beside it; one line each.
-- Each event of an order is linked to the one before it: the first that is not has been changed since.
SELECT DISTINCT ON (order_id) 'order ' || order_id || ': event ' || sequence || ' is not what was written' AS line
FROM (SELECT order_id, sequence, link,
             sha256(lag(link, 1, decode(repeat('00', 32), 'hex')) OVER (PARTITION BY order_id ORDER BY sequence) || body) AS told
      FROM order_events) chain
WHERE link <> told
UNION ALL
SELECT DISTINCT 'order ' || order_id || ' has events and is not there' FROM order_events
WHERE order_id NOT IN (SELECT id FROM orders)
UNION ALL
SELECT c.name || ' stands at ' || c.used || ', its uses lead to ' || coalesce(u.n, 0)
FROM counters c LEFT JOIN (SELECT counter, sum(n) AS n FROM uses GROUP BY counter) u ON u.counter = c.name
WHERE c.used <> coalesce(u.n, 0)
UNION ALL
SELECT 'batch ' || b.id || ' has ' || b.issued || ' codes, ' || coalesce(c.n, 0) || ' are there'
FROM batches b LEFT JOIN (SELECT batch, count(*) AS n FROM codes WHERE batch IS NOT NULL GROUP BY batch) c ON c.batch = b.id
WHERE b.issued <> coalesce(c.n, 0)
UNION ALL
SELECT 'edition ' || id || ' is of book ' || book || ', which is not there' FROM editions WHERE book NOT IN (SELECT id FROM books)
UNION ALL
SELECT 'book ' || book || ' is under ' || kind || ' ' || id || ', which is not there' FROM book_headings
WHERE (kind, id) NOT IN (SELECT kind, id FROM headings)
UNION ALL
SELECT 'book ' || id || ' is not found by the words of its authors' FROM books WHERE words <> own || author_words(id)
