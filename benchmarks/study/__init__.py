"""Studies: options, records of results, and results on disk."""
