"""What a model's data looked like when all was well: fitted in two passes, kept in a file."""
