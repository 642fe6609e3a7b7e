SELECT fingerprint, at, body FROM answers WHERE key = $1
