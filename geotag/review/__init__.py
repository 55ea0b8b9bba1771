"""The page of `geotag review`: the doubtful guesses of a table, and what is decided of them."""
