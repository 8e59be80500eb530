"""What a worker process does: read, draft, verify."""
