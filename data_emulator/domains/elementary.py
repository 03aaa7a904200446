"""Exponential, logarithm and cosine that are the same to the last bit on every machine.

Those of numpy differ in the last bit between processors with other instructions, and between releases: one amount in
some 10**12 would then be rounded to another cent. These here are made of operations whose result IEEE 754 prescribes
(addition, multiplication, division, rounding), each of them a numpy call of its own, and of tables that are computed in
decimal arithmetic. Each function looks up a point nearby and corrects it by a short polynomial. The results are off by
two units in the last place at most.
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import Final

import numpy as np
from numpy.typing import NDArray

_Floats = NDArray[np.float64]
_DIGITS: Final = 50
_PI: Final = Decimal("3.14159265358979323846264338327950288419716939937510582")
_STEPS: Final = 2048
"""Points looked up, in each doubling."""
_STEP_BITS: Final = 11
_TURN_STEPS: Final = 4096
"""Points looked up, in a full turn."""
_COARSE_BITS: Final = 32
"""Of ``log(2) / _STEPS``, in its first part: multiples of that part are exact."""
_MANTISSA_BITS: Final = 52
_TO_WHOLE: Final = 1.5 * 2.0**_MANTISSA_BITS
"""Added to a number, it leaves the nearest whole one in the lowest bits."""


def _powers_of_two() -> NDArray[np.int64]:
    """Return the bits of ``2 ** (step / _STEPS)`` for each step, less the step where the exponent is."""
    step = (Decimal(2).ln() / _STEPS).exp()
    powers = [Decimal(1)]
    for _ in range(1, _STEPS):
        powers.append(powers[-1] * step)
    bits = np.array([float(power) for power in powers]).view(np.int64)
    return np.asarray(bits - (np.arange(_STEPS) << (_MANTISSA_BITS - _STEP_BITS)), dtype=np.int64)


def _logarithms() -> _Floats:
    """Return ``log(1 / 2 + step / (2 * _STEPS))`` for each step from a half to 1, 1 included."""
    logarithms = [-Decimal(2).ln()]
    for step in range(_STEPS, 2 * _STEPS):
        # log((n + 1) / n) = 2 * artanh(1 / (2n + 1))
        ratio = 1 / Decimal(2 * step + 1)
        square, power, growth = ratio * ratio, ratio, Decimal(0)
        for odd in range(1, 16, 2):
            growth += power / odd
            power *= square
        logarithms.append(logarithms[-1] + 2 * growth)
    logarithms[-1] = Decimal(0)
    return np.array([float(logarithm) for logarithm in logarithms])


def _turn() -> tuple[_Floats, _Floats]:
    """Return the cosine and the sine of each step of a full turn."""
    step = 2 * _PI / _TURN_STEPS
    cosine = sine = Decimal(0)
    term, order = Decimal(1), 0
    while abs(term) > Decimal(10) ** -_DIGITS:
        if order % 2:
            sine += term if order % 4 == 1 else -term
        else:
            cosine += term if order % 4 == 0 else -term
        order += 1
        term *= step / order
    quarter = [(Decimal(1), Decimal(0))]
    for _ in range(_TURN_STEPS // 4):
        x, y = quarter[-1]
        quarter.append((x * cosine - y * sine, x * sine + y * cosine))
    quarter[-1] = (Decimal(0), Decimal(1))
    cosines = np.array([float(x) for x, _ in quarter[:-1]])
    sines = np.array([float(y) for _, y in quarter[:-1]])
    return np.concatenate([cosines, -sines, -cosines, sines]), np.concatenate([sines, cosines, -sines, -cosines])


with localcontext(prec=_DIGITS):
    _POWERS: Final = _powers_of_two()
    _LOGARITHMS: Final = _logarithms()
    _COSINES, _SINES = _turn()
    _STEPS_A_UNIT: Final = float(_STEPS / Decimal(2).ln())
    _LOG_2: Final = float(Decimal(2).ln())
    _STEP_COARSE: Final = int(Decimal(2).ln() / _STEPS * 2**_COARSE_BITS) / 2.0**_COARSE_BITS
    _STEP_FINE: Final = float(Decimal(2).ln() / _STEPS - Decimal(_STEP_COARSE))
    _TWO_PI: Final = float(2 * _PI)


def exp(numbers: _Floats) -> _Floats:
    """Return e to the power of each number, which lies between -700 and 700. Shape: that of `numbers`."""
    nearest = numbers * _STEPS_A_UNIT
    nearest += _TO_WHOLE
    step = nearest.view(np.int64).copy()
    nearest -= _TO_WHOLE
    rest = nearest * -_STEP_COARSE
    rest += numbers
    nearest *= _STEP_FINE
    rest -= nearest
    # 1 + r + r**2/2 + r**3/6: r is below 0.0002, and the next term is too small to show.
    power = rest * (1 / 6)
    power += 1 / 2
    power *= rest
    power += 1.0
    power *= rest
    power += 1.0
    point = _POWERS.take(step & (_STEPS - 1))
    step <<= _MANTISSA_BITS - _STEP_BITS
    point += step
    power *= point.view(np.float64)
    return power


def log(numbers: _Floats) -> _Floats:
    """Return the natural logarithm of each number, which is positive. Shape: that of `numbers`."""
    mantissa, exponent = np.frexp(numbers)
    point = mantissa * (2.0 * _STEPS)
    point += _TO_WHOLE - _STEPS
    step = point.view(np.int64) & (2 * _STEPS - 1)
    point -= _TO_WHOLE - _STEPS
    point *= 1 / (2.0 * _STEPS)
    # log(m) = log(p) + 2 * artanh(s), s = (m - p) / (m + p): s is below 0.0002, s**5 too small to show.
    ratio = mantissa - point
    mantissa += point
    ratio /= mantissa
    series = ratio * ratio
    series *= 2 / 3
    series += 2.0
    series *= ratio
    whole = exponent * _LOG_2
    whole += _LOGARITHMS.take(step)
    whole += series
    return whole


def cos_of_turns(turns: _Floats) -> _Floats:
    """Return the cosine of ``2 * pi`` times each number, which lies in [0, 1]. Shape: that of `turns`."""
    nearest = turns * _TURN_STEPS
    nearest += _TO_WHOLE
    step = nearest.view(np.int64) & (_TURN_STEPS - 1)
    nearest -= _TO_WHOLE
    nearest *= -1.0 / _TURN_STEPS
    rest = nearest
    rest += turns
    rest *= _TWO_PI
    # cos(a + r) = cos(a) * cos(r) - sin(a) * sin(r): r is below 0.0008, r**5 too small to show.
    square = rest * rest
    cosine = square * (1 / 24)
    cosine -= 1 / 2
    cosine *= square
    cosine += 1.0
    cosine *= _COSINES.take(step)
    square *= -1 / 6
    square += 1.0
    square *= rest
    square *= _SINES.take(step)
    cosine -= square
    return cosine
