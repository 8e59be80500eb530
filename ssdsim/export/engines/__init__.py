"""Engines whose settings can be written: one file each."""
