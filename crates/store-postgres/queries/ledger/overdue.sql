SELECT * FROM
    (SELECT count(*), min(due_at) FROM checkouts WHERE NOT done AND due_at <= $1) checkouts,
    (SELECT count(*), min(alarm_at) FROM orders WHERE payment IN ('capturing', 'voiding', 'refunding') AND alarm_at <= $1) orders
