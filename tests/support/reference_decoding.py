"""What plain decoding and ordinary speculation write, straight from the models' logits."""

from ssdsim.sampling.distributions import sample, view
from ssdsim.sampling.noise import Noise
from ssdsim.sampling.ranking import best
from ssdsim.sampling.verification import verify_maximal


def written(pair, setup, seq, prompt):
    """Return what the target writes alone, straight from its logits and the noise."""
    decoding, noise, text = setup.decoding, Noise(setup.seed, seq), list(prompt)
    for _ in range(setup.workload.output_tokens):
        gumbel = noise.gumbel(len(text), pair.vocabulary) if decoding.perturbed else None
        logits = pair.target.after(tuple(text))
        seen = view(logits, decoding.temperature, gumbel, decoding.top_k, decoding.top_p)
        text.append(int(best(seen.scores)))
    return tuple(text[len(prompt) :])


def speculated(pair, setup, seq, prompt):
    """Return what ordinary speculation writes, straight from both models' logits and the noise."""
    decoding, noise, text = setup.decoding, Noise(setup.seed, seq), tuple(prompt)
    end = len(text) + setup.workload.output_tokens
    while len(text) < end:
        start, whole, rows = len(text), text, []
        for k in range(setup.lookahead):
            rows.append(pair.q(decoding, whole))
            whole += (sample(rows[-1], noise.uniform(start + k, "propose", k)),)
        p = [pair.p(decoding, whole[: start + k]) for k in range(setup.lookahead + 1)]
        block = noise.block(start, setup.lookahead + 1)
        accepted, bonus = verify_maximal(p, rows, whole[start:], block)
        text = (*whole[: start + accepted], bonus)
    return text[len(prompt) : end]
