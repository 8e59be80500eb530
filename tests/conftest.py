"""What holds for all tests."""

import signal

# A shell that starts the tests in the background lets them, and all that they start, ignore
# Ctrl-C. Many of them press it.
signal.signal(signal.SIGINT, signal.default_int_handler)
