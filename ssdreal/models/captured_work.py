"""The type of functions that capture a pass so that it can be replayed (CUDA graphs)."""

from collections.abc import Callable

Work = Callable[[], None]
"""What a pass does: it reads and writes buffers that stay where they are."""

Capture = Callable[[Work], Work]
"""Makes work replayable. It may carry the work out, as often as it likes, before it returns."""
