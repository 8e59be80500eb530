"""Real models: the executor that decodes with the same methods as the simulator."""
