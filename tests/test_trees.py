"""Token trees: which nodes they have, how their verifies end, and what they cost."""
