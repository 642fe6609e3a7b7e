-- Codes that were issued for a promotion, in their order, after one of them.
SELECT code, promotion, batch, uses_max, at FROM codes
WHERE promotion = $1 AND code > $2 AND batch IS NOT NULL ORDER BY code LIMIT $3
