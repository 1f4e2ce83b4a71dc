"""One series: what it is monitored by, and what it remembers. Pure."""
