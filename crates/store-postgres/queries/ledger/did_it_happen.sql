SELECT did_it_happen($1)
