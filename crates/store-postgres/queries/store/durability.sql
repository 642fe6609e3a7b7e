-- What the server may forget of what it has acknowledged.
SELECT name FROM (VALUES ('fsync'), ('full_page_writes'), ('synchronous_commit')) settings (name)
WHERE current_setting(name) IN ('off', 'local')
