"""Calibration: fits a machine's service times to measured runs, and predicts with them."""
