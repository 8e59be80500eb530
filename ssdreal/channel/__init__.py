"""Worker processes, and what travels between them and a run."""
