SELECT pg_snapshot_xmin(seen)::text::bigint, pg_snapshot_xmax(seen)::text::bigint, extract(epoch FROM pg_postmaster_start_time())::double precision
FROM pg_current_snapshot() seen
