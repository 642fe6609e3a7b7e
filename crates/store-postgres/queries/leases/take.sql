INSERT INTO leases (job, holder, until, fence) VALUES ($1, $2, $3, 1)
ON CONFLICT (job) DO UPDATE SET holder = $2, until = $3,
    fence = leases.fence + CASE WHEN leases.holder = $2 AND leases.until > $4 THEN 0 ELSE 1 END
WHERE leases.holder IS NULL OR leases.holder = $2 OR leases.until <= $4
RETURNING fence
