"""What a GPU machine is asked in its few minutes."""
