-- How many codes of a batch there are.
SELECT issued FROM batches WHERE id = $1
