"""The command line: composing options, help, sweeps, the console."""
