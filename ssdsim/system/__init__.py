"""What the operating system gives: files written whole, interrupts, terminals, processors."""
