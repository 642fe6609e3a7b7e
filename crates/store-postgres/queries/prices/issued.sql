-- A code as it was issued.
SELECT code, promotion, batch, uses_max, at FROM codes WHERE code = $1 AND batch IS NOT NULL
