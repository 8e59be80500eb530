"""`python -m ssdsim.explore`: sliders over the simulator, in a browser on this machine."""
