"""Random numbers computed by index, so that any record can be made without making those before it.

A `Stream` is SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014) read at
any position: the generator's state after ``i`` steps is ``base + i * GOLDEN_GAMMA``, so its ``i``-th output needs no
history. The base is a hash of the seed and of the stream's name: two columns, domains or seeds share nothing.

A draw has 64 bits, and all of them pass tests of randomness: where 32 are enough, one draw is split in two (`halves`).
"""

from __future__ import annotations

import hashlib
import math
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from data_emulator.domains import elementary

Index = NDArray[np.int64]
Floats = NDArray[np.float64]

_GOLDEN_GAMMA: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX_1: Final = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2: Final = np.uint64(0x94D049BB133111EB)
_LOW_HALF: Final = np.uint64(0xFFFFFFFF)


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
        z = index.astype(np.uint64)
        z += np.uint64(1)
        z *= _GOLDEN_GAMMA
        z += self._base
        z ^= z >> np.uint64(30)
        z *= _MIX_1
        z ^= z >> np.uint64(27)
        z *= _MIX_2
        z ^= z >> np.uint64(31)
        return z

    def uniform(self, index: Index) -> Floats:
        """Return numbers in [0, 1) with 53 random bits."""
        unit: Floats = np.multiply(self.bits(index) >> np.uint64(11), 2.0**-53, dtype=np.float64)
        return unit

    def halves(self, index: Index) -> tuple[Floats, Floats]:
        """Return two numbers in [0, 1) for each index, with 32 random bits each: the halves of one draw."""
        drawn = self.bits(index)
        high: Floats = np.multiply(drawn >> np.uint64(32), 2.0**-32, dtype=np.float64)
        low: Floats = np.multiply(drawn & _LOW_HALF, 2.0**-32, dtype=np.float64)
        return high, low

    def integers(self, index: Index, bound: int | Index) -> Index:
        """Return integers in [0, bound); `bound` is at least 1 and may differ for each index."""
        return (self.uniform(index) * bound).astype(np.int64)

    def normal(self, index: Index) -> Floats:
        """Return standard normal numbers (Box and Muller, 1958), from the halves of one draw: none is beyond 6.7."""
        radius, angle = self.halves(index)
        drawn = elementary.log(1.0 - radius)
        drawn *= -2.0
        np.sqrt(drawn, out=drawn)
        drawn *= elementary.cos_of_turns(angle)
        return drawn


def weighted_choice(uniform: Floats, cumulative_weights: Floats) -> Index:
    """Return, for each number in [0, 1), the position whose share of the weights it falls into.

    :param cumulative_weights: running sum of the weights, ending in 1.
    """
    return np.minimum(np.searchsorted(cumulative_weights, uniform, side="right"), len(cumulative_weights) - 1)


def cumulative(weights: NDArray[np.floating[Any]]) -> Floats:
    """Return the running sum of weights, scaled to end in 1."""
    sums = np.cumsum(weights)
    return np.asarray(sums / sums[-1], dtype=np.float64)


def zipf_ranks(uniform: Floats, count: int, exponent: float) -> Index:
    """Return, for each number in [0, 1), a rank in [0, count): rank r has a share as ``1 / (r + 1.5) ** exponent``.

    That is the Zipf-Mandelbrot law, here as the whole part of a bounded Pareto variable: its distribution function has
    an inverse, which needs no table and no search, however many ranks there are.

    :param exponent: 1, or a half, two thirds, three quarters, four fifths and so on: then the inverse is a whole power.
    :raises ValueError: for another exponent.
    """
    if exponent == 1.0:
        drawn = elementary.exp(uniform * _log(count + 1))
    else:
        power = round(1.0 / (1.0 - exponent))
        if not math.isclose(exponent, 1.0 - 1.0 / power):
            raise ValueError(f"exponent is {exponent}: expected 1, or 1 - 1/n with a whole n")
        root = uniform * (_root(count + 1, power) - 1.0)
        root += 1.0
        drawn = root.copy()
        for _ in range(power - 1):
            drawn *= root
    ranks: Index = np.minimum(drawn.astype(np.int64), count) - 1
    return ranks


@lru_cache(maxsize=64)
def _log(number: int) -> float:
    return float(elementary.log(np.array([float(number)]))[0])


@lru_cache(maxsize=64)
def _root(number: int, degree: int) -> float:
    return float(elementary.exp(np.array([_log(number) / degree]))[0])


def zipf_shares(count: int, exponent: float) -> Floats:
    """Return the shares with which `zipf_ranks` gives each rank. Shape: (count,), summing to 1."""
    bounds = np.arange(1, count + 2, dtype=np.float64)
    integral = elementary.log(bounds)
    if exponent != 1.0:
        integral = elementary.exp(integral * (1.0 - exponent))
    return np.asarray(np.diff(integral) / (integral[-1] - integral[0]), dtype=np.float64)
