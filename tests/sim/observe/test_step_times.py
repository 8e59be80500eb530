"""Seconds of passes, fitted to those that an engine timed."""

import numpy as np
import pytest
import yaml

from ssdsim.latency.table import Table
from ssdsim.observe import profile
from ssdsim.observe.step_times import step_times
from ssdsim.observe.told import TimedPass, Told


def passes(base, token, prompt, context, step):
    for b in (1, 4, 16):
        for K in (0, 3):
            for read, cached in ((0, 500 * b), (512, 200 * b)):
                tokens = b * (K + 1)
                seconds = base + token * tokens + prompt * read + context * cached + step * K
                yield TimedPass(read, b, tokens, K, seconds, cached)


def test_every_slope_that_passes_tell_is_found():
    true = (8e-3, 2e-5, 3e-5, 1e-8, 1e-3)
    found = step_times(Told(passes=tuple(passes(*true))))
    assert (found.base, found.tokens, found.prompt, found.context, found.draft) == pytest.approx(
        true, rel=1e-6
    )
    assert found.spread == pytest.approx(0, abs=1e-9)


def test_scatter_is_reported():
    rng = np.random.default_rng(0)
    noisy = [
        one._replace(seconds=one.seconds * rng.lognormal(0, 0.05))
        for _ in range(200)
        for one in passes(8e-3, 2e-5, 3e-5, 1e-8, 1e-3)
    ]
    found = step_times(Told(passes=tuple(noisy)))
    assert found.spread == pytest.approx(0.05, rel=0.1)
    assert found.base == pytest.approx(8e-3, rel=0.05)


def test_the_context_makes_a_verify_as_slow_as_it_was_fitted(tmp_path):
    told = Told(
        rounds=9.0,
        lookahead=3.0,
        conditional=(0.5,),
        passes=tuple(passes(8e-3, 2e-5, 3e-5, 1e-8, 1e-3)),
    )
    section, _ = profile._latency(step_times(told), None)
    (tmp_path / "latency.yaml").write_text(yaml.safe_dump(section))
    table = Table(section["target"]["passes"])
    assert table.seconds("verify", 8, 32, 1000) == pytest.approx(8e-3 + 32 * 2e-5 + 8e-5, rel=1e-4)
