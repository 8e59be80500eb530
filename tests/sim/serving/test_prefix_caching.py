"""Blocks that begin alike are computed once and shared, and evicted when nobody holds them."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from timelines_of_requests import PLAIN, Told

from ssdsim import Setup, simulate
from ssdsim.acceptance.iid import Iid
from ssdsim.decoding.protocol import Row
from ssdsim.errors import ConfigError
from ssdsim.methods.autoregressive import Autoregressive
from ssdsim.routers.prefix_aware import PrefixAware
from ssdsim.routers.round_robin import RoundRobin
from ssdsim.run.tables import Sequence
from ssdsim.serving.block_names import Naming
from ssdsim.serving.continuous import Continuous
from ssdsim.serving.prefill_instances import Disaggregated
from ssdsim.serving.prefix_caching import PrefixCache
from ssdsim.workloads.base import Request

SHARING = Continuous(enable_prefix_caching=True, block_size=2)


def row(seq, prompt, ids, size=4):
    record = Sequence(seq, "", "", prompt, None, 0, 0.0)
    return Row(record, left=9, context=prompt, ready=0.0, prefix=tuple(ids), prefix_tokens=size)


def served(*prompts, serving=SHARING, **changes):
    """Serve prompts of so many tokens, whose blocks of two have these ids, each alone in time."""
    requests = tuple(
        Request(20.0 * at, tokens, 2, tuple(ids), prefix_tokens=2)
        for at, (tokens, ids) in enumerate(prompts)
    )
    workload = Told(len(requests), requests)
    setup = Setup(Autoregressive(), Iid(), PLAIN, workload, lookahead=0, serving=serving)
    return simulate(replace(setup, **changes))


def computed(run):
    return run.spans[run.spans.kind == "prefill"].tokens.tolist()


def test_what_somebody_before_began_with_is_not_computed_again():
    run = served((7, (1, 2, 3, 4)), (7, (1, 2, 5, 6)), (6, (1, 2, 3)), (4, (1, 9)))
    # Of (1, 2, 3) two blocks are found: the last token's pass says what follows.
    assert run.sequences.cached_tokens.tolist() == [0, 4, 4, 2]
    assert computed(run) == [7, 3, 2, 2]
    assert run.metrics["prefix_hit_rate"] == pytest.approx(10 / 24)
    alone = served((7, (1, 2, 3, 4)), (7, (1, 2, 5, 6)), serving=replace(SHARING, block_size=4))
    assert alone.sequences.cached_tokens.tolist() == [0, 4]
    none = served((7, (1, 2, 3)), (7, (1, 2, 3)), serving=Continuous(block_size=2))
    assert none.metrics["prefix_hit_rate"] is None
    assert computed(none) == [7, 7]


def test_equal_ids_after_another_beginning_are_other_blocks():
    assert served((7, (1, 2, 3)), (7, (4, 2, 3))).sequences.cached_tokens.tolist() == [0, 0]


def test_blocks_are_found_without_chunks_too_and_by_drafts():
    whole = replace(SHARING, enable_chunked_prefill=False)
    run = served((7, (1, 2, 3)), (7, (1, 2, 3)), serving=whole)
    assert computed(run) == [7, 1]


def test_who_waited_the_longest_is_evicted_first_and_tails_before_their_beginnings():
    few = replace(SHARING, num_gpu_blocks=5)
    # 6 tokens and a look-ahead of none take 3 blocks, and 4 from the second token on.
    first, other = (6, (1, 2, 3)), (6, (7, 8, 9))
    run = served(first, other, first, serving=few)
    # The other prompt leaves one block of the first, its beginning.
    assert run.sequences.cached_tokens.tolist() == [0, 0, 2]
    roomy = served(first, other, first, serving=replace(few, num_gpu_blocks=8))
    assert roomy.sequences.cached_tokens.tolist() == [0, 0, 4]


def test_who_is_preempted_finds_its_own_blocks_again():
    requests = tuple(Request(0.0, 4, 5) for _ in range(2))
    plain = Continuous(block_size=2, num_gpu_blocks=7)
    setup = Setup(Autoregressive(), Iid(), PLAIN, Told(2, requests), lookahead=0, serving=plain)
    runs = [simulate(setup), simulate(replace(setup, serving=replace(SHARING, num_gpu_blocks=7)))]
    assert [run.sequences.preempted.tolist() for run in runs] == [[0, 1]] * 2
    # Both prompts, 4 rounds of one, 2 before and 2 after of the other, of which all is computed
    # anew, or what the 3 blocks do not have that nobody needed meanwhile.
    assert [run.spans.tokens.sum() for run in runs] == [8 + 8 + 7, 8 + 8 + 1]


def test_prompts_that_begin_alike_go_where_their_blocks_are():
    one, other = (8, (1, 2, 3, 4)), (8, (5, 6, 7, 8))
    prompts = one, other, other, one, other, one
    hits = [
        served(*prompts, replicas=2, router=router).metrics["prefix_hit_rate"]
        for router in (RoundRobin(), PrefixAware())
    ]
    assert hits == [pytest.approx(12 / 48), pytest.approx(24 / 48)]


@pytest.mark.parametrize("changes", [{"state_blocks": 1}, {"disaggregated": Disaggregated()}])
def test_what_has_no_blocks_to_share_is_refused(changes):
    with pytest.raises(ConfigError, match=r"serving.enable_prefix_caching=True: needs false"):
        replace(SHARING, **changes)


@pytest.mark.parametrize("size", [3, 4, 8])
def test_names_are_those_of_all_tokens_up_to_a_block(size):
    naming = Naming(size)
    whole, part = (naming.names(row(*of, (1, 2, -1, -2))) for of in ((0, 16), (1, 14)))
    assert len(whole) == 16 // size
    assert whole[: 14 // size] == part
    longer = naming.names(row(2, 16, (1, 2)))  # its other blocks are nobody else's
    assert longer[: 8 // size] == whole[: 8 // size]
    others = naming.names(row(3, 16, (1, 3, -1, -2))), naming.names(row(4, 16, (1, 2, -2, -1)))
    common = [len({*whole} & {*one}) for one in (longer, *others)]
    assert common == [8 // size, 4 // size, 8 // size]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=5), min_size=2, max_size=6))
def test_without_an_end_of_memory_the_longest_common_beginning_is_found(prompts):
    run = served(*((2 * len(ids), tuple(ids)) for ids in prompts))
    longest = [
        max((_common(ids, other) for other in prompts[:at]), default=0)
        for at, ids in enumerate(prompts)
    ]
    most = [2 * min(common, len(ids) - 1) for common, ids in zip(longest, prompts, strict=True)]
    assert run.sequences.cached_tokens.tolist() == most


def _common(one, other):
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_blocks_are_conserved_whoever_shares_them(data):
    """Held ones once each, idle and free ones are all there are; nobody's block is let go."""
    pool = PrefixCache(data.draw(st.integers(6, 20)), data.draw(st.sampled_from([1, 2, 3])))
    live, seq = {}, 0
    for _ in range(data.draw(st.integers(1, 40))):
        what = data.draw(st.sampled_from(["come", "compute", "grow", "leave"]))
        if what == "come":
            ids = data.draw(st.lists(st.integers(0, 1), min_size=1, max_size=3))
            new = row(seq, data.draw(st.integers(1, 4 * len(ids))), ids)
            known = pool.known(new)
            assert known < new.context
            fits = pool.fits(new, new.context)
            assert pool.take(new, new.context) == fits
            if fits:
                live[seq] = new
                assert len(pool.shared[seq]) * pool.size == known
            seq += 1
        elif live:
            one = live[data.draw(st.sampled_from(sorted(live)))]
            if what == "compute":
                pool.computed(one, data.draw(st.integers(0, one.context)))
            elif what == "grow":
                if pool.grow(one.seq, one.context + 1):
                    one.context += 1
            else:
                pool.release(one.seq)
                del live[one.seq]
        conserved(pool, live)


def conserved(pool, live):
    own = {seq: pool.held[seq] - len(pool.shared[seq]) for seq in live}
    assert set(pool.held) == set(pool.shared) == set(live)
    assert all(count >= 0 for count in own.values())
    held = [name for names in pool.shared.values() for name in names]
    assert {name: held.count(name) for name in held} == pool.holders
    assert pool.used == sum(own.values()) + len(pool.holders)
    assert not pool.idle.keys() & pool.holders.keys()
    assert 0 <= pool.used <= pool.used + len(pool.idle) <= pool.total
    for seq, one in live.items():  # all of its tokens have a place
        assert pool.held[seq] * pool.size >= one.context
