"""Drafters: who drafts before a miss, a draft model or a lookup in the text. One file each."""
