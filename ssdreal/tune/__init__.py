"""`python -m ssdreal.tune`: measure the leaders of a simulated tuning until the best is known."""
