"""Exponential, logarithm and cosine: right, and the same to the last bit on every machine."""

import ast
import hashlib
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import data_emulator.domains
from data_emulator.domains import elementary

GENERATOR = np.random.default_rng(7)
DRAWN = GENERATOR.integers(0, 2**32, 100_000) * 2.0**-32
DIGEST = "1364a0e2"
ROOT = Path(__file__).parents[3]
UNLIKE = {
    "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "power", "pow", "cbrt", "sin", "cos", "tan", "sinh",
    "cosh", "tanh", "arcsin", "arccos", "arctan", "arctan2", "interp", "sum", "mean", "average", "std", "var", "dot",
    "erf", "erfc", "gamma", "lgamma", "polyval", "convolve", "einsum", "matmul", "random",
}  # fmt: skip
"""Of numpy and math: what no standard lays down to the last bit, and what adds up in an order of its own."""


def off_by(results: np.ndarray, expected: list[float]) -> float:
    """Return by how many units in the last place the results are off, at most."""
    right = np.array(expected)
    return float((np.abs(results - right) / np.spacing(np.abs(right))).max())


def test_exponential_is_right() -> None:
    numbers = np.concatenate([GENERATOR.normal(0, 3, 50_000), GENERATOR.uniform(-700, 700, 50_000), [0.0, 1e-300]])
    assert off_by(elementary.exp(numbers), [math.exp(number) for number in numbers.tolist()]) <= 2


def test_logarithm_is_right() -> None:
    numbers = np.concatenate([1 - DRAWN, GENERATOR.uniform(1, 1e6, 50_000), [0.5, 2**-32, 1 - 2**-32, 2.0, 1e300]])
    assert off_by(elementary.log(numbers), [math.log(number) for number in numbers.tolist()]) <= 2
    assert elementary.log(np.array([1.0])).tolist() == [0.0]


def test_cosine_is_right() -> None:
    expected = np.array([math.cos(2 * math.pi * turns) for turns in DRAWN.tolist()])
    assert np.abs(elementary.cos_of_turns(DRAWN) - expected).max() < 1e-15
    assert elementary.cos_of_turns(np.array([0, 0.25, 0.5, 0.75, 1.0])).tolist() == [1.0, 0.0, -1.0, 0.0, 1.0]


def bits() -> str:
    """Return a digest of many results."""
    numbers = np.arange(1, 200_001) / 200_000
    results = [elementary.exp(40 * numbers - 20), elementary.log(numbers), elementary.cos_of_turns(numbers)]
    return hashlib.sha256(b"".join(result.astype("<f8").tobytes() for result in results)).hexdigest()[:8]


def test_results_are_the_same_to_the_last_bit_on_every_machine() -> None:
    assert bits() == DIGEST


def test_processor_with_fewer_instructions_makes_the_same_records() -> None:
    """Numpy is told to do without what this processor has more than its oldest kind: other code of numpy's computes."""
    script = (
        "import hashlib, numpy as np; from tests.data_emulator.domains import test_elementary as e, test_domains as d;"
        "print(e.bits(), [hashlib.sha256(d.lines(name, 5000)).hexdigest() for name in d.NAMES], e.unlike())"
    )
    found = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])  # type: ignore[index]
    printed = []
    for without in ("", " ".join(found)):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", script],
            capture_output=True,
            check=True,
            text=True,
            cwd=ROOT,
            env={**os.environ, "NPY_DISABLE_CPU_FEATURES": without},
        )
        printed.append(done.stdout.rsplit(maxsplit=1))
    assert printed[0][0] == printed[1][0]
    if "X86_V4" in found:  # there numpy's own differ: the test does compare two kinds of processor
        assert printed[0][1] != printed[1][1]


def unlike() -> str:
    """Return a digest of what numpy itself computes."""
    return hashlib.sha256(np.exp(np.arange(200_000) / 10_000).tobytes()).hexdigest()[:8]


@pytest.mark.parametrize(
    "path", sorted(Path(data_emulator.domains.__path__[0]).glob("*.py")), ids=lambda path: path.name
)
def test_domains_call_nothing_whose_last_bit_differs_between_machines(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ("np", "math"):
            assert node.attr not in UNLIKE, f"{path.name}:{node.lineno}: {node.value.id}.{node.attr}"
