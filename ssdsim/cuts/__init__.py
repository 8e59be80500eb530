"""Verification cuts: how much of what was drafted is verified, one short file each."""
