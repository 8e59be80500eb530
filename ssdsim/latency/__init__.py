"""How long passes take: constants, a measured table, or a roofline, and how they scatter."""
