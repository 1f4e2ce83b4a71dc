"""What was decided and by what: entries of a log in which each vouches for all before it, and their replay."""
