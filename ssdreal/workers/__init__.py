"""Worker processes: how they are started, watched, asked and ended."""
