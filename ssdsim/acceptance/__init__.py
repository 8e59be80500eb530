"""Acceptance sources: how verifies end in a simulation. One file a source."""
