SELECT forget_deliveries($1, $2)
