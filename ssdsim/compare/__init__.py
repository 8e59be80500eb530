"""`python -m ssdsim.compare`: runs side by side, and where two of them part."""
