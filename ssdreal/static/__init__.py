"""Passes at fixed shapes, with everything on the device: what a GPU needs."""
