"""HTML as values, and drawings, shared by the pages that driftd writes."""
