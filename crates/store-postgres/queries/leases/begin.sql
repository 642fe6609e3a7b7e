UPDATE leases SET last_slot = $2
WHERE job = $1 AND fence = $3 AND holder IS NOT NULL AND until > $4 AND (last_slot IS NULL OR last_slot < $2)
RETURNING fence
