"""Latency models: the seconds of each pass in a simulation. One file a model."""
