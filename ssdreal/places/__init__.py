"""Which device, part of a device, and core each model has."""
