"""`python -m ssdreal.validate`: predict configurations, measure them, explain the errors."""
