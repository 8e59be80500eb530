"""Where seconds come from in a simulation. One file a model."""
