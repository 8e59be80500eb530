"""What depends on the operating system: atomic files, locks, interrupts."""
