"""What each command does, one a file."""
