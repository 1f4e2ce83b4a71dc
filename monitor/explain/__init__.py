"""What has changed, in words for people. Pure: counts and a few samples in, text out."""
