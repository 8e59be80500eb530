"""Models on a GPU: fixed shapes, graphs that are captured once, and streams of their own."""
