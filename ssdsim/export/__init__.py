"""`python -m ssdsim.export`: the answer as an engine's own settings."""
