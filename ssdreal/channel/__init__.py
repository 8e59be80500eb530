"""Messages between a run and its worker processes, and the shared memory beside them."""
