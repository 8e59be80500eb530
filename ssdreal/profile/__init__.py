"""Measuring a machine and a pair of models for the simulator."""
