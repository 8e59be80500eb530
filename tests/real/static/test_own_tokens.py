"""A target that decodes alone is asked for several tokens at once; each is a round of its own."""

from copy import copy
from dataclasses import replace

import numpy as np
import pytest
from inline_crew import HERE, InlineCrew, decode, outputs, tasks
from scripted import Scripted
from shapes import loaded
from static_servers import DIRECT, NAMES, THREE, pair, turn
from test_device_clock import Live
from tiny_runs import prompts

from ssdreal.channel.messages import Decode, Verify
from ssdreal.executor.execution import Execution
from ssdreal.lanes.wall_clock import WallClock
from ssdreal.serving.sampling import NotFinite
from ssdreal.static.chain_steps import STEPS
from ssdreal.static.server import StaticServer
from ssdreal.workers.remote import WorkerLost
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.methods.speculative import Speculative
from ssdsim.workloads.closed import Closed

ALONE = Autoregressive()
MORE = STEPS + 4


@pytest.fixture(autouse=True)
def unmeasured(monkeypatch):
    """Let nothing warm up."""
    for role in ("draft", "target"):
        monkeypatch.setattr(f"ssdreal.static.{role}_server.median_seconds", lambda _: 1e-3)


def asked(crew, kind):
    return [command for command, _ in crew.channels["target"].log if isinstance(command, kind)]


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("decoding", THREE, ids=NAMES)
def test_so_many_tokens_as_every_row_needs_are_asked_for_at_once(decoding, batch):
    setup = replace(turn(ALONE, decoding, 0), workload=Closed(3, output_tokens=MORE), batch=batch)
    right, _ = decode(setup, *pair(), prompts())
    found, crew = decode(setup, *pair(), prompts(), servers=DIRECT)
    assert outputs(found) == outputs(right)
    assert not asked(crew, Verify)
    told = [command.tokens for command in asked(crew, Decode)]
    assert told == [STEPS, 4] * (3 // batch + 3 % batch)
    lane = crew.channels["target"].server.lane
    assert lane.fetches == len(told)  # a copy to the host a command


def test_its_worker_goes_on_while_rounds_are_taken_up():
    setup = replace(turn(ALONE, THREE[0], 0), workload=Closed(1, output_tokens=2 * STEPS + 3))
    crew = InlineCrew(*pair(), servers=DIRECT)
    running = Execution(setup, lambda: crew, HERE, tasks(prompts(1)))
    channel, known = crew.channels["target"], []
    send = channel.send

    def noted(message):
        if isinstance(message, Decode):
            known.append((len(running.recorder.rounds), message.tokens))
        send(message)

    channel.send = noted
    running.run()
    assert known == [(0, STEPS), (0, STEPS), (STEPS, 3)]


def test_where_a_text_may_end_before_a_token_is_asked_for_at_a_time():
    workload = Closed(1, output_tokens=12)
    setup = replace(turn(ALONE, THREE[0], 0), workload=workload, stop_at_end=True)
    crew = InlineCrew(*pair(), servers=DIRECT)
    ends = frozenset({outputs(decode(setup, *pair(), prompts())[0])[0][5]})
    running = Execution(setup, lambda: crew, HERE, tasks(prompts(1)), ends)
    running.run()
    (output,) = outputs(running.result())
    assert output[-1] in ends
    assert [command.tokens for command in asked(crew, Decode)] == [1] * len(output)


def test_what_is_drafted_is_verified_as_ever():
    _, crew = decode(turn(Speculative("own"), THREE[0], 0), *pair(), prompts(), servers=DIRECT)
    assert asked(crew, Verify)
    assert not asked(crew, Decode)


def test_a_scripted_target_goes_on_from_its_own_tokens_too():
    setup = replace(turn(ALONE, THREE[0], 0), workload=Closed(2, output_tokens=MORE))
    own, _ = decode(setup, *loaded(), prompts(2), servers=DIRECT)
    scripted = replace(setup, acceptance=Scripted((((0, 0),),)))
    found, crew = decode(scripted, *loaded(), prompts(2), servers=DIRECT)
    assert outputs(found) == outputs(own)
    assert crew.channels["target"].server.reader.texts[0] == [*prompts(2)[1], *outputs(own)[1]][:-1]
    assert [command.tokens for command in asked(crew, Decode)] == [STEPS, 4] * 2


def test_every_round_has_its_own_time_by_the_device_s_clock(monkeypatch):
    device = Live(rate=1.001)
    monkeypatch.setattr(StaticServer, "event", property(lambda _: device.event))
    setup = replace(turn(ALONE, THREE[0], 0), workload=Closed(2, output_tokens=MORE))
    found, crew = decode(setup, *pair(), prompts(2), servers=DIRECT)
    rounds, spans = found.rounds, found.spans[found.spans.kind == "verify"]
    assert len(rounds) == len(spans) == 2 * MORE
    for ends in (rounds.end, spans.end):
        assert (np.diff(ends) > 0).all()
    same = rounds[rounds["round"] > 0]
    assert (same.start.to_numpy() == rounds.end.shift()[same.index].to_numpy()).all()
    late = rounds.end.to_numpy() - spans.end.to_numpy()  # the host may be held up
    assert np.median(late) == pytest.approx(0, abs=5e-3)
    assert (spans.start.to_numpy()[1:] >= spans.end.to_numpy()[:-1] - 1e-9).all()
    first = rounds[rounds["round"] == 0].set_index("seq").end
    assert found.sequences.set_index("seq").first_token.to_dict() == first.to_dict()
    server = crew.channels["target"].server
    numbers = [number for number, *_ in server.watch.marks]
    (command, _), *_ = [one for one in crew.channels["target"].log if isinstance(one[0], Decode)]
    assert numbers.count(command.stamp.number) == STEPS


def test_a_target_without_a_distribution_says_so():
    setup = replace(turn(ALONE, THREE[0], 0), workload=Closed(1, output_tokens=8))
    target, draft = pair()
    broken = copy(target)
    broken.norm = target.norm * np.nan
    with pytest.raises(WorkerLost, match=str(NotFinite())):
        decode(setup, broken, draft, prompts(1), servers=DIRECT)


def test_time_goes_back_for_what_came_together_and_for_nothing_else():
    env, seen = WallClock(), []

    def late():
        yield env.timeout(0.001)
        env.tick()
        env.rewind(env.origin)
        seen.append(env.now)
        for _ in range(3):
            yield env.timeout(1e-9)
            seen.append(env.now)

    env.run(env.process(late()))
    assert seen[0] == 0
    assert np.diff(seen) == pytest.approx([1e-9] * 3)
    env.tick()
    now, _ = env.now, env.timeout(0)
    env._now += 1.0  # as if somebody had looked at the clock meanwhile
    env.step()
    assert env.now == now + 1.0
