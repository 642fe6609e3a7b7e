-- Books that match, the most relevant first: a word in the title ('A') counts most, then one among the authors ('B').
SELECT id FROM books, (SELECT $1::text::tsquery AS query) asked WHERE words @@ query
ORDER BY ts_rank('{0, 0.1, 0.5, 1}', words, query) DESC, id LIMIT $2
