"""Token trees: which nodes they have, how their verifies end, and what they cost."""

from dataclasses import replace

import numpy as np
import pytest
from chisquare import assert_follows
from scripted import decode, machine, rounds

from ssdsim import Setup, simulate
from ssdsim.acceptance.base import Sampling
from ssdsim.acceptance.by_depth import ByDepth
from ssdsim.acceptance.iid import Iid
from ssdsim.acceptance.language_model import LanguageModel
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.speculative import Speculative
from ssdsim.methods.ssd import Ssd
from ssdsim.outcomes import Outcome, Speculation, chain
from ssdsim.trees.base import halving, landing, parents_of, widths_of
from ssdsim.trees.chain import Chain
from ssdsim.trees.confident import Confident
from ssdsim.trees.widths import Widths
from ssdsim.workload import Workload
