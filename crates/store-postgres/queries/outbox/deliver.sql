SELECT deliver($1, $2, $3)
