"""Length controls on real workers: the chains that the rule says, and the same tokens as without."""

import pytest
from enumerable import random_pair
from inline_crew import decode, obeys_the_invariants, outputs
from test_lossless import prompts

from ssdreal.execution import Setup
from ssdreal.serving.sampling import Decoding
from ssdreal.workload import Workload
from ssdsim.lengths.base import Length, Stopping
from ssdsim.lengths.base import Control
from ssdsim.lengths.confidence import Confidence
from ssdsim.lengths.controller import Controller
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd

MODELS = random_pair(4)
