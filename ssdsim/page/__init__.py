"""A run as one page for a browser: its tables packed, its front end inside, no network."""
