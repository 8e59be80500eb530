"""What runs a simulation: simulated workers on time lanes, one run, its checks and baselines."""
