-- The steps that the schema has been through.
SELECT number, name, checksum FROM migrations ORDER BY number
