SELECT name, used FROM counters WHERE name = ANY ($1)
