"""Routers: which replica a request goes to."""
