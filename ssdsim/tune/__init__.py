"""Which configuration to use: searches over settings."""
