"""Backup speculators: who drafts after a miss. One file each."""
