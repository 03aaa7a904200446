"""The search for a rule on a single field that finds fraud: with one, the data would be worthless for training.

A rule is a threshold on a number, from either side, or a choice of values of a category: the best one, and all unions
of the best ones. What is derived from a field, as the cents of an amount or the hour of a time, counts as that field.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data_emulator.report.sample import Sample

_DAY_US = 86_400_000_000


@dataclass(frozen=True)
class Rule:
    """The best rule on a field. Of precision and recall, the smaller is what it is worth."""

    field: str
    precision: float
    recall: float

    @property
    def worth(self) -> float:
        """The smaller of precision and recall."""
        return min(self.precision, self.recall)


def best_rules(sample: Sample) -> list[Rule]:
    """Return the best rule of each field of transactions, the best field first."""
    fraud = np.asarray(sample.values("is_fraud").to_numpy(zero_copy_only=False), dtype=bool)
    rules = [best_threshold(name, values, fraud) for name, values in _numbers(sample)]
    rules += [best_categories(name, codes, fraud) for name, codes in _categories(sample)]
    return sorted(rules, key=lambda rule: rule.worth, reverse=True)


def best_threshold(field: str, values: NDArray[Any], fraud: NDArray[np.bool_]) -> Rule:
    """Return the best of the rules ``value <= t`` and ``value > t``, over all thresholds t."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    last_of_its_value = np.append(ordered[1:] != ordered[:-1], True)
    found = np.cumsum(fraud[order])[last_of_its_value]
    taken = np.arange(1, len(values) + 1)[last_of_its_value]
    total = int(fraud.sum())
    below = _best(field, found, taken, total)
    above = _best(field, (total - found)[:-1], (len(values) - taken)[:-1], total)
    return max(below, above, key=lambda rule: rule.worth)


def best_categories(field: str, codes: NDArray[Any], fraud: NDArray[np.bool_]) -> Rule:
    """Return the best of the rules ``value in C``, C being the k values with the largest share of fraud, for all k.

    The best single value is among the rules looked at, too.
    """
    taken = np.bincount(codes)
    found = np.bincount(codes, weights=fraud)[taken > 0]
    taken = taken[taken > 0]
    order = np.argsort(-found / taken, kind="stable")
    total = int(fraud.sum())
    single = _best(field, found, taken, total)
    union = _best(field, np.cumsum(found[order]), np.cumsum(taken[order]), total)
    return max(single, union, key=lambda rule: rule.worth)


def _best(field: str, found: NDArray[Any], taken: NDArray[Any], total: int) -> Rule:
    """Return the best rule of those that take so many records, so many of them fraud."""
    if not len(taken) or not total:
        return Rule(field, 0.0, 0.0)
    precision, recall = found / taken, found / total
    best = int(np.argmax(np.minimum(precision, recall)))
    return Rule(field, float(precision[best]), float(recall[best]))


def _numbers(sample: Sample) -> Iterator[tuple[str, NDArray[Any]]]:
    yield "amount", sample.floats("amount")
    location = sample.values("location")
    for name in ("latitude", "longitude"):
        yield f"location.{name}", pc.struct_field(location, name).to_numpy()
    yield "timestamp", sample.time_us
    yield "timestamp: time of day", sample.time_us % _DAY_US


def _categories(sample: Sample) -> Iterator[tuple[str, NDArray[Any]]]:
    cents = np.rint(sample.floats("amount") * 100).astype(np.int64)
    yield "amount: to the cent", np.unique(cents, return_inverse=True)[1]
    yield "amount: cents", cents % 100
    yield "amount: last digit", cents % 10
    yield "amount: trailing zeros", (cents % 10 == 0).astype(int) + (cents % 100 == 0) + (cents % 1000 == 0)
    yield "amount: first digit", (cents // 10 ** np.log10(np.maximum(cents, 1)).astype(np.int64)).astype(np.int64)
    yield "amount: digits", np.log10(np.maximum(cents, 1)).astype(np.int64)
    for name in ("user_id", "currency", "merchant"):
        yield name, sample.codes(name)[0]
    yield "location.city", sample.cities
    yield (
        "location.country",
        pc.dictionary_encode(pc.struct_field(sample.values("location"), "country")).indices.to_numpy(),
    )
    moment = sample.time_us
    for name, unit_us, modulus in (
        ("hour", 3_600_000_000, 24),
        ("minute", 60_000_000, 60),
        ("second", 1_000_000, 60),
        ("millisecond", 1000, 1000),
    ):
        yield f"timestamp: {name}", moment // unit_us % modulus
    yield "timestamp: weekday", (moment // _DAY_US + 3) % 7
    yield "timestamp: day", (moment - moment.min()) // _DAY_US
    yield from _digits("transaction_id", sample.values("transaction_id"))
    yield from _digits("user_id", sample.values("user_id"))


def _digits(name: str, ids: pa.StringArray) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield each character of ids of one length."""
    text = np.frombuffer(pc.binary_join(pa.ListArray.from_arrays([0, len(ids)], ids), "")[0].as_buffer(), np.uint8)
    text = np.ascontiguousarray(text.reshape(len(ids), -1).T)
    for position, character in enumerate(text):
        yield f"{name}: character {position + 1}", character
