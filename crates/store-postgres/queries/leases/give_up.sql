UPDATE leases SET holder = NULL WHERE job = $1 AND fence = $2
