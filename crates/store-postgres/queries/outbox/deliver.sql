SELECT deliver_outgoing($1, $2, $3)
