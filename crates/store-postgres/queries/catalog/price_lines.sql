-- What an edition was sold at, newest first, before a place.
SELECT place, body FROM price_lines WHERE edition = $1 AND place < $2 ORDER BY place DESC LIMIT $3
