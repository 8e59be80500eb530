"""Draft and target as a method sees them: what they are asked goes to workers elsewhere."""
