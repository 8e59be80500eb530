"""Tuning: searches for the best configuration of every method, and tells how sure that is."""
