"""What the draft's ranked candidates at a position say, whatever was sent there."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ssdsim.acceptance.position import Position
from ssdsim.sampling.distributions import decided, view

# Few values, so that ties are common; the two middle ones are one float32.
scores = st.lists(st.sampled_from([-1.0, 0.5, 0.5 + 1e-12, 2.0]), min_size=3, max_size=9)


@given(scores, st.data())
def test_candidates_are_named_by_their_rank_among_those_not_sent(scores, data):
    sent = data.draw(st.lists(st.sampled_from(range(len(scores))), max_size=2))
    draft = view(scores, 1.0)
    position = Position(decided(np.array(scores)), draft, draft.probabilities)
    values = np.asarray(scores, np.float32)
    best_first = sorted(range(len(scores)), key=lambda token: (-values[token], token))
    left = [token for token in best_first if token not in sent]
    assert position.own == best_first[0]
    assert [position.candidate(rank, sent) for rank in range(len(left))] == left
    assert [position.rank(token, sent) for token in left] == list(range(len(left)))
    assert position.candidates(sent) == tuple(draft.belief[left].tolist())
    assert {position.rank(token, sent) for token in sent} <= {-1}
