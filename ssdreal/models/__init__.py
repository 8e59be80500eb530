"""Models by name: checkpoints, tokenizers, KV cache, and the forward pass."""
