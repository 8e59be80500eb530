"""Turns option names and plain data into checked objects: plug-ins, profiles, dataclasses."""
