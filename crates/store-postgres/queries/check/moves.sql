-- Every move of stock, in order.
SELECT edition, kind, n, sequence, cause FROM stock_moves ORDER BY edition, sequence
