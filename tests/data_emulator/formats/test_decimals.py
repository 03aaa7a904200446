"""Numbers written fast read back as the very same numbers, and what is not of the kind is left to others."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

from data_emulator.formats.decimals import cents, decimals, micros
from data_emulator.formats.jsonl import encode


def read(column: object) -> list[float]:
    return [json.loads(text) for text in column.to_pylist()]  # type: ignore[attr-defined]


def test_every_amount_reads_back() -> None:
    numbers = np.arange(1 << 18) / 100
    written = cents(numbers)
    assert read(written) == numbers.tolist()
    assert written is not None
    assert written.slice(0, 3).to_pylist() == ["0.0", "0.01", "0.02"]
    assert written[1250].as_py() == "12.5"


@pytest.mark.parametrize(
    "numbers",
    [[-0.01], [1.0, -5.0], [2621.44], [1.001], [0.1 + 0.2], [float("nan")], [1.0, float("inf")], [1e300], [1e-300], []],
)
def test_what_is_no_amount_is_left_alone(numbers: list[float]) -> None:
    assert cents(np.array(numbers)) is None


def test_every_kind_of_time_reads_back() -> None:
    generator = np.random.default_rng(1)
    micros_of = np.concatenate(
        [
            generator.integers(10**15, 4 * 10**15, 100_000),  # to 2096
            1_795_000_000_000_000 + np.arange(2_000),
            np.array([10**15, 1_795_000_000_000_000]),
        ]
    )
    numbers = micros_of / 1e6
    assert read(micros(numbers)) == numbers.tolist()


def test_a_time_has_seconds_and_six_decimals() -> None:
    written = micros(np.array([1795000000.0005, 1000000000.0]))
    assert written is not None
    assert written.to_pylist() == ["1795000000.000500", "1000000000.000000"]


@pytest.mark.parametrize(
    "numbers",
    [
        [12.5],
        [1e9 - 1],
        [1e10],
        [-1795000000.0],
        [1795000000.0, 5.0],
        [1795000000.0, float("nan")],
        [1795000000.0 + 2**-22],
        [],
    ],
)
def test_what_is_no_time_is_left_alone(numbers: list[float]) -> None:
    assert micros(np.array(numbers)) is None


def test_a_number_is_written_alike_whatever_stands_beside_it() -> None:
    amounts = np.arange(1 << 18) / 100
    generator = np.random.default_rng(1)
    times = np.concatenate([generator.integers(10**15, 4 * 10**15, 100_000) / 1e6, [1e9, 1795000000.0]])
    for write, numbers in ((cents, amounts), (micros, times)):
        alone = write(numbers)
        assert alone is not None
        beside = decimals(pa.array([1e300, *numbers, -5.5]))
        assert beside.slice(1, len(numbers)).to_pylist() == alone.to_pylist()


def test_any_number_reads_back() -> None:
    numbers = [0.0, 16.0, -5.0, 2621.44, 1e-7, 1e16, 1e300, -1e-300, 1795000000.0 + 2**-22, 1e9 - 1, 1e10]
    written = decimals(pa.array(numbers))
    assert read(written) == numbers
    assert written.slice(1, 3).to_pylist() == ["16.0", "-5.0", "2621.44"]


@pytest.mark.parametrize("kind", [pa.float32(), pa.float64()])
def test_null_stays_null_and_minus_zero_is_zero(kind: pa.DataType) -> None:
    assert decimals(pa.array([None, 1.5, -0.0, None, 3.0], kind)).to_pylist() == [None, "1.5", "0.0", None, "3.0"]
    assert decimals(pa.array([], kind)).to_pylist() == []


def test_a_json_line_is_the_same_in_any_block() -> None:
    def lines(amounts: list[float]) -> list[bytes]:
        return encode(pa.record_batch({"amount": pa.array(amounts)}), "").to_pylist()  # type: ignore[no-any-return]

    assert lines([16.0, 5.25]) == lines([16.0, 5.25, 1_000_000.0])[:2]
