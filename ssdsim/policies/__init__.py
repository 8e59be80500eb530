"""Outcome policies: which outcomes to prepare for. One file each."""
