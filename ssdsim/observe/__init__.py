"""`python -m ssdsim.observe`: from the logs and counters of an engine to a profile."""
