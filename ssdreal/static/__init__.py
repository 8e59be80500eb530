"""Workers for a GPU: passes at fixed shapes, captured as graphs, tokens chosen on the device."""
