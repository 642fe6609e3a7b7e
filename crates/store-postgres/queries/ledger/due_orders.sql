SELECT body FROM orders WHERE payment IN ('capturing', 'voiding', 'refunding') AND alarm_at <= $1 ORDER BY alarm_at, id LIMIT $2
