"""One run on real models, and several in a sitting."""
