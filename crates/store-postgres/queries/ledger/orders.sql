-- One of the shapes of this is asked: `queries.rs` puts the columns that a filter names where it says so, as one query for all
-- of them could not use their indexes. Every shape has an upper end, so that the first page is a page like any other.
SELECT body FROM orders WHERE placed_at >= $1 AND (placed_at, id) < ($2, $3) /* AND owner = $5 ... */
ORDER BY placed_at DESC, id DESC LIMIT $4
