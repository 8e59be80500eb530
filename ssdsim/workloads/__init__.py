"""Workloads: which requests there are, how long they are, and when they arrive."""
