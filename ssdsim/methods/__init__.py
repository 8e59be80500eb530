"""Decoding methods: one generator each."""
