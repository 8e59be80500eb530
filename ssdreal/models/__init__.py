"""Models by name, and the lean pass that runs them."""
