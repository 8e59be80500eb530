"""From names and plain data to checked objects: plug-ins, profiles, dataclasses."""
