"""Serving: which requests are decoded together, how much memory they may take, who gets them."""
