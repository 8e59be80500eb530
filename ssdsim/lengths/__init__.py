"""Lengths: how many tokens a draft makes before they are verified, one short file each."""
