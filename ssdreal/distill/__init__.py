"""Train a small draft to imitate a target, on text that the target wrote itself."""
