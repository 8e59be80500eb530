"""What `python -m ssdreal.bench` measures, and how it predicts the same with ssdsim."""
