"""Reports for people: a small tally of each model's hours, and when a report is made of it. Facts in, facts out."""
