"""The tiny target as its own draft: the sublayers that it leaves out."""

from ssdsim.methods.self_speculative import SelfSpeculative

NOTHING = SelfSpeculative(skipped_attention=(), skipped_mlp=())
LAST_LAYER = SelfSpeculative(skipped_attention=(1,), skipped_mlp=(1,))
MIXED = SelfSpeculative(skipped_attention=(0,), skipped_mlp=(1,))
FIRST_LAYER = SelfSpeculative(skipped_attention=(0,), skipped_mlp=(0,))
EVERYTHING = SelfSpeculative(skipped_attention=(0, 1), skipped_mlp=(0, 1))
