"""From measured runs to a machine: what every piece of work takes, and how sure that is."""
