"""DSpark drafts for DeepSeek-V4-Pro on eight B300 (vLLM blog of 14 August 2026).

Figure 3: tokens/s per user by concurrency, digitised from marker coordinates to about .1. Figure 2:
what a verify of another, smaller model takes by its tokens, digitised to about .1 ms: a step costs
what the next captured size does.
"""

from bisect import bisect_left

import numpy as np
from scipy.optimize import least_squares

CONCURRENCIES = (1, 16, 32, 64, 128, 256)
# By drafted tokens, 0 for no speculation.
TOKENS_PER_S_PER_USER = {
    0: (101.3, 71.8, 53.6, 45.7, 37.3, 29.4),
    1: (154.2, 90.7, 77.9, 64.2, 50.3, 39.8),
    3: (232.9, 125.8, 103.6, 82.0, 64.2, 44.2),
    5: (257.1, 128.9, 103.9, 84.1, 59.9, 39.9),
    6: (260.3, 129.3, 102.1, 81.9, 57.9, 37.4),
    7: (253.0, 126.1, 98.9, 79.2, 54.6, 34.3),
}
STAIRS = (
    *((1, 5.11), (4, 5.16), (8, 5.35), (16, 5.59), (24, 6.08), (32, 6.26), (40, 6.83)),
    *((48, 6.94), (56, 7.13), (64, 7.9), (72, 8.21), (80, 8.51), (88, 8.7), (96, 8.77)),
    *((104, 9.05), (112, 9.2), (128, 9.47), (144, 9.9), (160, 11.32), (240, 11.39), (256, 11.51)),
    *((272, 12.52), (288, 12.62), (304, 13.9), (320, 14.11), (416, 14.58), (432, 14.67)),
    *((448, 15.67), (480, 15.99), (576, 16.22), (592, 16.66), (608, 17.08), (624, 17.25)),
    *((640, 17.36), (656, 17.69), (768, 17.76), (784, 17.9), (800, 17.9), (816, 18.09)),
    *((832, 18.16), (849, 18.58), (864, 18.58), (881, 18.69), (895, 19.16), (912, 19.48)),
    *((929, 19.56), (960, 19.68), (976, 20.09), (992, 20.17), (1008, 20.26), (1024, 20.63)),
)
"""Tokens of a captured graph, and milliseconds of the other model's verify."""
SLOPE = (20.63 - 11.51) / (1024 - 256)
"""Of its milliseconds, between 256 tokens and the last graph, which goes on beyond."""
GIVEN = [
    *((K, users) for K in (0, 1) for users in CONCURRENCIES),
    *((K, 1) for K in (3, 5, 6, 7)),
]
"""What is fitted to: no speculation, K = 1, and one user. All others are predicted."""


def published(K, users):
    return TOKENS_PER_S_PER_USER[K][CONCURRENCIES.index(users)]


def stairs(tokens):
    """Return what a verify of the other model takes longer than one of a token, in ms."""
    sizes, milliseconds = zip(*STAIRS, strict=True)
    if tokens > sizes[-1]:
        return milliseconds[-1] + SLOPE * (tokens - sizes[-1]) - milliseconds[0]
    return milliseconds[bisect_left(sizes, tokens)] - milliseconds[0]


class Fit:
    """Verify seconds, a draft pass, and how acceptance falls with the position.

    A verify takes a fixed time, the other model's stairs on a scale of their own, a slope in
    tokens, and what reading more experts takes, which approaches a limit as tokens hit all of
    them: the other model's was measured with dummy tokens, which all hit the same ones. The j-th of
    the drafted tokens is accepted, after those before it, with a chance of a·exp(-b j). What is
    `held`, by name, is not fitted.
    """

    NAMES = ("fixed", "stairs", "experts", "hit", "slope", "draft", "first", "fall")
    START = (9.0, 0.5, 5.0, 0.05, 0.03, 1.0, 0.8, 0.1)
    BOUNDS = np.array(((0, 0, 0, 1e-4, 0, 0, 0.3, 0), (50, 10, 50, 1, 1, 10, 1, 1)))

    def __init__(self, **held):
        self.values = np.array(
            [held.get(*pair) for pair in zip(self.NAMES, self.START, strict=True)]
        )
        free = [at for at, name in enumerate(self.NAMES) if name not in held]

        def errors(values):
            self.values[free] = values
            return self._errors(self.values)

        found = least_squares(errors, self.values[free], bounds=self.BOUNDS[:, free])
        self.values[free], self.errors = found.x, found.fun

    @property
    def error(self):
        """Root mean square of the relative errors of what it is fitted to."""
        return float(np.sqrt(np.mean(self.errors**2)))

    def verify(self, tokens):
        """Return the seconds of a verify over so many tokens."""
        return self._verify(self.values, tokens)

    @property
    def draft(self):
        """Seconds of the pass that drafts the whole block."""
        return float(self.values[5]) / 1000

    @property
    def accept(self):
        """P(j-th token is accepted | those before it were), j = 0..6."""
        return tuple(float(each) for each in self._accept(self.values))

    def _verify(self, values, tokens):
        fixed, scale, experts, hit, slope = values[:5]
        more = experts * (1 - np.exp(-hit * (tokens - 1)))
        return float(fixed + scale * stairs(tokens) + more + slope * (tokens - 1)) / 1000

    def _accept(self, values):
        first, fall = values[6:]
        return np.minimum(1.0, first * np.exp(-fall * np.arange(7)))

    def _errors(self, values):
        return [np.log(self._speed(values, *row) / published(*row)) for row in GIVEN]

    def _speed(self, values, K, users):
        length = 1 + np.cumprod(self._accept(values)[:K]).sum()
        drafting = values[5] / 1000 if K else 0.0
        return length / (self._verify(values, (K + 1) * users) + drafting)
