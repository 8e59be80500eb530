"""The run directory, and all that is computed and drawn from it."""
