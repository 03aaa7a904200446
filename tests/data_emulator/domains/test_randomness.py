"""Streams: SplitMix64 at any position, uniform, independent by name and by seed."""

import math

import numpy as np
import pytest

from data_emulator.domains.randomness import Stream, cumulative, weighted_choice

COUNT = 200_000
INDEX = np.arange(COUNT)


@pytest.mark.parametrize(
    ("state", "outputs"),
    [
        (0, [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F, 0xF88BB8A8724C81EC]),
        (1234567, [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]),
    ],
)
def test_bits_are_the_published_outputs_of_splitmix64(state: int, outputs: list[int]) -> None:
    stream = Stream(0, "any")
    stream._base = np.uint64(state)
    assert stream.bits(np.arange(4)).tolist() == outputs
    assert stream.bits(np.array([3, 0])).tolist() == [outputs[3], outputs[0]]


def test_a_stream_is_a_function_of_its_seed_and_name() -> None:
    first = Stream(1, "a").bits(INDEX[:100])
    assert (first == Stream(1, "a").bits(INDEX[:100])).all()
    for other in (Stream(2, "a"), Stream(1, "b"), Stream(-1, "a")):
        assert not (first == other.bits(INDEX[:100])).any()


def test_streams_of_neighbouring_seeds_do_not_run_into_each_other() -> None:
    drawn = [set(Stream(seed, "a").bits(INDEX[:20_000]).tolist()) for seed in range(5)]
    assert len(set.union(*drawn)) == 100_000


def test_uniform_fills_the_unit_interval_evenly() -> None:
    numbers = Stream(7, "uniform").uniform(INDEX)
    assert numbers.min() >= 0
    assert numbers.max() < 1
    observed, _ = np.histogram(numbers, bins=256, range=(0, 1))
    expected = COUNT / 256
    chi_squared = float(((observed - expected) ** 2 / expected).sum())
    assert 150 < chi_squared < 390  # 255 degrees of freedom: 5 standard deviations or more to each side


@pytest.mark.parametrize("bit", [0, 1, 11, 31, 32, 52, 63])
def test_every_bit_is_set_half_of_the_time(bit: int) -> None:
    ones = int(((Stream(7, "bits").bits(INDEX) >> np.uint64(bit)) & np.uint64(1)).sum())
    assert abs(ones - COUNT / 2) < 5 * math.sqrt(COUNT) / 2


def test_numbers_do_not_depend_on_their_neighbours_nor_on_other_streams() -> None:
    numbers = Stream(7, "a").uniform(INDEX)
    others = [
        np.roll(numbers, 1),
        np.roll(numbers, 2),
        Stream(7, "b").uniform(INDEX),
        Stream(8, "a").uniform(INDEX),
        Stream(7, "a").uniform(2 * INDEX + COUNT),
    ]
    for other in others:
        assert abs(float(np.corrcoef(numbers, other)[0, 1])) < 5 / math.sqrt(COUNT)


def test_integers_stay_below_their_bounds_and_reach_all() -> None:
    stream = Stream(7, "integers")
    assert sorted(set(stream.integers(INDEX[:1000], 6).tolist())) == [0, 1, 2, 3, 4, 5]
    bounds = 1 + INDEX % 3
    drawn = stream.integers(INDEX, bounds)
    assert ((drawn >= 0) & (drawn < bounds)).all()
    assert set(drawn[bounds == 3].tolist()) == {0, 1, 2}


def test_normal_numbers_follow_the_normal_distribution() -> None:
    numbers = np.sort(Stream(7, "normal").normal(INDEX))
    expected = np.array([0.5 * (1 + math.erf(x / math.sqrt(2))) for x in numbers])
    distance = np.abs(expected - (np.arange(COUNT) + 0.5) / COUNT).max()
    assert distance < 1.95 / math.sqrt(COUNT)  # Kolmogorov and Smirnov, 0.1%


def test_weighted_choice_follows_the_weights() -> None:
    weights = cumulative(np.array([1.0, 0.0, 3.0]))
    assert weighted_choice(np.array([0.0, 0.2499, 0.25, 0.9999999]), weights).tolist() == [0, 0, 2, 2]
