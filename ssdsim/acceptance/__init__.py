"""Where outcomes come from in a simulation. One file a source."""
