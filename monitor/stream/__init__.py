"""Event time to panes, panes to windows. Pure: integer arithmetic and arrays, nothing else."""
