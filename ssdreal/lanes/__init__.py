"""Draft and target as a method sees them: proxies that send its requests to worker processes."""
