SELECT job, holder FROM leases WHERE holder IS NOT NULL AND until > $1 ORDER BY job
