"""A target that is sharded over several devices."""
