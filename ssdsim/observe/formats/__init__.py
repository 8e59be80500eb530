"""The formats that engines and tools leave: one file each."""
