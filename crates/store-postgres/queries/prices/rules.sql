-- Rules as they are, each with the transaction that wrote it.
SELECT r.kind, r.id, r.version, r.xid::text::bigint AS xid, r.body
FROM rules r JOIN unnest($1::text[], $2::text[]) AS asked (kind, id) USING (kind, id)
