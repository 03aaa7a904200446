"""Random numbers computed by index, so that any record can be made without making those before it.

A `Stream` is SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014) read at
any position: the generator's state after ``i`` steps is ``base + i * GOLDEN_GAMMA``, so its ``i``-th output needs no
history. The base is a hash of the seed and of the stream's name: two columns, domains or seeds share nothing.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Index = NDArray[np.int64]
Floats = NDArray[np.float64]

_GOLDEN_GAMMA: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX_1: Final = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2: Final = np.uint64(0x94D049BB133111EB)
_TO_UNIT: Final = 2.0**-53


class Stream:
    """One independent sequence of random numbers, addressed by index.

    :param seed: any integer.
    :param name: what the numbers are for, such as ``"transaction.amount"``.
    """

    def __init__(self, seed: int, name: str) -> None:
        digest = hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=8).digest()
        self._base = np.uint64(int.from_bytes(digest, "little"))

    def bits(self, index: Index) -> NDArray[np.uint64]:
        """Return 64 random bits for each index. Shape: that of `index`, each at least 0."""
        z = (index.astype(np.uint64) + np.uint64(1)) * _GOLDEN_GAMMA + self._base
        z = (z ^ (z >> np.uint64(30))) * _MIX_1
        z = (z ^ (z >> np.uint64(27))) * _MIX_2
        return z ^ (z >> np.uint64(31))

    def uniform(self, index: Index) -> Floats:
        """Return numbers in [0, 1) with 53 random bits."""
        unit: Floats = np.multiply(self.bits(index) >> np.uint64(11), _TO_UNIT, dtype=np.float64)
        return unit

    def integers(self, index: Index, bound: int | Index) -> Index:
        """Return integers in [0, bound); `bound` is at least 1 and may differ for each index."""
        return (self.uniform(index) * bound).astype(np.int64)

    def normal(self, index: Index) -> Floats:
        """Return standard normal numbers (Box and Muller, 1958): two uniforms for each index."""
        radius = np.sqrt(-2.0 * np.log1p(-self.uniform(2 * index)))
        return radius * np.cos(2.0 * np.pi * self.uniform(2 * index + 1))


def weighted_choice(uniform: Floats, cumulative_weights: Floats) -> Index:
    """Return, for each number in [0, 1), the position whose share of the weights it falls into.

    :param cumulative_weights: running sum of the weights, ending in 1.
    """
    return np.minimum(np.searchsorted(cumulative_weights, uniform, side="right"), len(cumulative_weights) - 1)


def cumulative(weights: NDArray[np.floating[Any]]) -> Floats:
    """Return the running sum of weights, scaled to end in 1."""
    sums = np.cumsum(weights)
    return np.asarray(sums / sums[-1], dtype=np.float64)
