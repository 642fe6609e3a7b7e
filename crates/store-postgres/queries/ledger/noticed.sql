SELECT 1 FROM notices WHERE id = $1
