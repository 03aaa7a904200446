"""What makes records realistic, as numbers with bounds and where these come from."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from data_emulator.domains import device_log, transaction
from data_emulator.domains.backfill import DAY_US, DECEMBER_FACTOR, WEEKDAY_WEIGHTS, day_weights, share_of_day
from data_emulator.domains.fraud import SCENARIOS
from data_emulator.domains.geography import COUNTRIES, COUNTRY_SHARES
from data_emulator.domains.merchants import MERCHANT_ZIPF_EXPONENT
from data_emulator.domains.randomness import Floats, Index
from data_emulator.domains.world import ACTIVITY_ZIPF_EXPONENT, MAX_DEVICES
from data_emulator.report.leaks import best_rules
from data_emulator.report.sample import YEAR_END, YEAR_START, Sample

_HANDBOOK: Final = "Fraud Detection Handbook"
_SPARKOV: Final = "Sparkov"
_TABFORMER: Final = "IBM TabFormer, 24.4M transactions"
_ZIPF: Final = "Di Clemente et al., Nature Communications 2018"
_SDMETRICS: Final = "SDMetrics"
_ORIGINAL: Final = "the original emulator"
_OURS: Final = "stated by us"
_DOMINANT: Final = f"dominant; {_OURS}"
ZIPF_RANKS: Final = (10, 300)
"""Ranks between which an exponent is fitted: behind the flat head, before chance decides about the order."""
_BURST_RECORDS: Final = 20
"""Fraud payments of one scenario that follow each other within so many records are of one burst."""
_BUSY: Final = 100
"""Records from which on a user's own share of records at home is looked at."""


@dataclass(frozen=True)
class Check:
    """A statistic, the bounds that it has to lie within, bounds included, and who says so."""

    name: str
    value: float
    low: float
    high: float
    source: str

    @property
    def holds(self) -> bool:
        """Whether the statistic lies within its bounds."""
        return self.low <= self.value <= self.high


def checks(sample: Sample) -> list[Check]:
    """Return the checks of a domain: those of all domains, and its own if it is one of the lab's three."""
    common = [*_integrity(sample), *_times(sample)]
    if sample.domain not in _OWN or (sample.users < 0).any():
        return common  # of users whom nobody knows, nothing else can be said
    return common + _OWN[sample.domain](sample)


def ks_distance(values: Floats, distribution: Callable[[Floats], Floats]) -> float:
    """Return the largest difference between the values' distribution and the expected one (Kolmogorov, Smirnov)."""
    ordered = np.sort(values)
    expected = distribution(ordered)
    count = len(ordered)
    above = np.arange(1, count + 1) / count - expected
    return float(max(above.max(), (expected - np.arange(count) / count).max()))


def normal_distribution(values: Floats) -> Floats:
    """Return the share of a standard normal variable that is below each value, to five digits or more."""
    grid = np.linspace(-8, 8, 20_001)
    shares = np.array([0.5 * math.erfc(-x / math.sqrt(2)) for x in grid.tolist()])
    return np.asarray(np.interp(values, grid, shares), dtype=np.float64)


def zipf_exponent(counts: NDArray[Any], shift: float = 0.5) -> float:
    """Return the exponent of a Zipf-Mandelbrot law fitted to counts, by least squares of the logarithms.

    :param counts: how often each value occurs, in any order.
    """
    first, last = ZIPF_RANKS
    ordered = np.sort(counts)[::-1][first - 1 : last]
    return -float(np.polyfit(np.log(np.arange(first, first + len(ordered)) + shift), np.log(ordered), 1)[0])


def _integrity(sample: Sample) -> list[Check]:
    ids = sample.table.column(0)
    times = sample.time_us / 1e6
    return [
        Check("ids that are unique, share", pc.count_distinct(ids).as_py() / len(sample), 1, 1, _SDMETRICS),
        Check("user ids that are a user-profile's, share", float((sample.users >= 0).mean()), 1, 1, _SDMETRICS),
        Check("records before or behind the range asked for", _outside(times), 0, 0, _OURS),
        Check("records earlier than the one before", float((np.diff(sample.time_us) < 0).sum()), 0, 0, _OURS),
    ]


def _outside(times: Floats) -> float:
    return float(((times < YEAR_START.timestamp()) | (times >= YEAR_END.timestamp())).sum())


def _times(sample: Sample) -> list[Check]:
    day = sample.time_us // DAY_US
    seconds = (sample.time_us - day * DAY_US) / 1e6
    a_day = np.bincount(day - day.min()).astype(np.float64)
    days = np.arange(day.min(), day.max() + 1)
    expected = day_weights(days)
    december = expected > np.take(np.array(WEEKDAY_WEIGHTS), weekdays(days))
    by_weekday = np.array([a_day[(weekdays(days) == weekday) & ~december].mean() for weekday in range(7)])
    wanted = np.array(WEEKDAY_WEIGHTS)
    off = np.abs(by_weekday / by_weekday.sum() / (wanted / wanted.sum()) - 1).max()
    per_weight = a_day / np.where(december, expected / DECEMBER_FACTOR, expected)
    grid = np.arange(0, 86_401, 10.0)
    distance = ks_distance(seconds, lambda values: np.interp(values, grid, share_of_day(grid)))
    return [
        Check("time of day: KS distance from noon, sd 20,000 s, cut off at midnight", distance, 0, 0.01, _HANDBOOK),
        Check("weekdays: largest deviation from 80, 90, 100, 100, 150, 175, 175", float(off), 0, 0.02, _SPARKOV),
        Check(
            "December: busier than other months by the factor",
            float(per_weight[december].mean() / per_weight[~december].mean()),
            0.98 * DECEMBER_FACTOR,
            1.02 * DECEMBER_FACTOR,
            _SPARKOV,
        ),
    ]


def weekdays(days: Index) -> Index:
    """Return the weekday, Monday being 0, of days counted from the Unix epoch."""
    return (days + 3) % 7


def _activity(sample: Sample) -> Check:
    fitted = zipf_exponent(np.bincount(sample.users, minlength=1))
    target = ACTIVITY_ZIPF_EXPONENT
    return Check("users' activity: Zipf exponent", fitted, target - 0.05, target + 0.05, f"0.8: {_OURS}; {_ZIPF}")


def _home(sample: Sample, honest: NDArray[np.bool_], travel_share: float) -> list[Check]:
    """A journey goes anywhere that users live, so some end in the home country."""
    expected = 1 - travel_share * (1 - float((COUNTRY_SHARES**2).sum()))
    records = np.bincount(sample.users)
    busy = records >= _BUSY
    of_busy = np.bincount(sample.users, weights=sample.at_home)[busy] / records[busy]
    share = float(sample.at_home[honest].mean())
    return [
        Check("records in the user's home country, share", share, expected - 0.01, expected + 0.01, _DOMINANT),
        Check("the same for the busy user who is away most", float(of_busy.min(initial=1)), 0.5, 1, _DOMINANT),
    ]


def _transaction(sample: Sample) -> list[Check]:
    fraud = np.asarray(sample.values("is_fraud").to_numpy(zero_copy_only=False), dtype=bool)
    amounts = sample.floats("amount")
    honest = np.log(amounts[~fraud])
    share = sample.world.fraud_share
    sigma = math.sqrt(share * (1 - share) / len(sample))
    distance = ks_distance(
        honest, lambda values: normal_distribution((values - transaction.AMOUNT_MU) / transaction.AMOUNT_SIGMA)
    )
    merchants = np.bincount(sample.codes("merchant")[0])
    users = sample.users[~fraud]
    payments = np.bincount(users)
    means = np.bincount(users, weights=honest)[payments > 0] / payments[payments > 0]
    between = float(np.average((means - honest.mean()) ** 2, weights=payments[payments > 0]) / honest.var())
    currency, _ = sample.codes("currency")
    pairs = len(np.unique(np.stack([sample.users, currency]), axis=1)[0])
    return [
        Check("fraud, share of payments", float(fraud.mean()), share - 3 * sigma, share + 3 * sigma, "3 sigma; ULB"),
        *_scenarios(sample, fraud),
        _leak(sample),
        Check("log(amount) of honest payments: KS distance from N(3.41, 0.86)", distance, 0, 0.01, _TABFORMER),
        Check("median amount", float(np.median(amounts)), 29, 32, _TABFORMER),
        Check("mean amount", float(amounts.mean()), 42, 46, _TABFORMER),
        Check("variance of log(amount) that is between users, share", between, 0.2, 0.3, f"0.25: {_OURS}"),
        Check(
            "merchants' popularity: Zipf exponent",
            zipf_exponent(merchants),
            MERCHANT_ZIPF_EXPONENT - 0.05,
            MERCHANT_ZIPF_EXPONENT + 0.05,
            f"1.0: {_OURS}; {_ZIPF}",
        ),
        _activity(sample),
        *_home(sample, ~fraud, transaction.TRAVEL_SHARE),
        Check("currencies of a user, mean", pairs / len(np.unique(sample.users)), 1, 1, _OURS),
    ]


def _scenarios(sample: Sample, fraud: NDArray[np.bool_]) -> list[Check]:
    """How many payments a burst has, and whether it is about one user, or one merchant."""
    labels = sample.values("fraud_scenario")
    unlabelled = int((np.asarray(labels.is_null().to_numpy(zero_copy_only=False)) == fraud).sum())
    found = [Check("fraud without, or honest payments with, a scenario", unlabelled, 0, 0, _OURS)]
    merchants, _ = sample.codes("merchant")
    for scenario in SCENARIOS:
        place = np.flatnonzero(pc.fill_null(pc.equal(labels, scenario), False).to_numpy(zero_copy_only=False))
        burst = np.cumsum(np.diff(place, prepend=-_BURST_RECORDS) >= _BURST_RECORDS)
        bursts = int(burst[-1]) if len(burst) else 0
        low, high = (1, 1.01) if scenario == "baseline" else (2, 12)
        size = len(place) / bursts if bursts else 0.0
        found.append(Check(f"{scenario}: payments in a burst, mean", size, low, high, f"{_ORIGINAL}; AMLSim"))
        if scenario == "baseline":
            continue
        whom, of = ("merchants", merchants) if scenario == "merchant_collusion" else ("users", sample.users)
        pairs = len(np.unique(np.stack([burst, of[place]]), axis=1)[0])
        found.append(
            Check(f"{scenario}: {whom} in a burst, mean", pairs / bursts if bursts else 0.0, 1, 1.02, f"{_ORIGINAL}")
        )
    return found


def _leak(sample: Sample) -> Check:
    best = best_rules(sample)[0]
    return Check(f"best rule on a single field ({best.field}): precision and recall", best.worth, 0, 0.9, _OURS)


def _device_log(sample: Sample) -> list[Check]:
    device, _ = sample.codes("device_id")
    pairs = np.unique(np.stack([sample.users, device]), axis=1)
    devices = np.bincount(pairs[0])
    login = pc.strptime(pc.utf8_slice_codeunits(sample.values("login_timestamp"), 0, 19), "%Y-%m-%dT%H:%M:%S", "us")
    logout = sample.values("logout_timestamp")
    late = pc.sum(pc.greater(sample.values("login_timestamp"), logout)).as_py() or 0
    still_open = float(logout.null_count / len(sample))
    after = int((login.cast(pa.int64()).to_numpy() > sample.time_us).sum())
    every = np.ones(len(sample), dtype=bool)
    return [
        Check("devices of a user, the most", float(devices.max()), 1, MAX_DEVICES, f"few; {_OURS}"),
        Check("devices of a user, mean", float(devices[devices > 0].mean()), 1.5, 2, f"few; {_OURS}"),
        Check("users of a device, the most", float(np.bincount(pairs[1]).max()), 1, 1, _OURS),
        Check("sessions a device, mean", len(sample) / len(np.unique(device)), 2, math.inf, f"reused; {_OURS}"),
        Check("sessions that end before they start, or start behind their record", float(late + after), 0, 0, _OURS),
        Check("sessions still open, share", still_open, 0.11, 0.13, f"0.12: {_OURS}"),
        _activity(sample),
        *_home(sample, every, device_log.TRAVEL_SHARE),
    ]


def _user_profile(sample: Sample) -> list[Check]:
    codes = [country.code for country in COUNTRIES]
    country = pc.index_in(sample.values("country"), value_set=pa.array(codes)).to_numpy()
    off = float(np.abs(np.bincount(country, minlength=len(codes)) / len(sample) - COUNTRY_SHARES).max())
    born, signed = (days_since_epoch(sample.values(name)) for name in ("date_of_birth", "signup_date"))
    youngest = float((signed - born).min() / 365.25)
    credit = sample.floats("credit_score")
    risk = pa.array(np.where(credit >= 700, "low", np.where(credit >= 600, "medium", "high")))
    mails = sample.values("email")
    return [
        Check("countries: largest difference from their share of users", off, 0, 0.01, _OURS),
        Check("age at sign-up, youngest, in years", youngest, 17.99, 18.1, "adults; " + _OURS),
        Check("sign-ups later than the record", float((signed > sample.time_us // DAY_US).sum()), 0, 0, _OURS),
        Check("credit score, mean", float(credit.mean()), 680, 700, _OURS),
        Check("credit score, lowest", float(credit.min()), 300, 500, "300 to 850: FICO"),
        Check("credit score, highest", float(credit.max()), 800, 850, "300 to 850: FICO"),
        Check("risk level as the credit score says, share", _equal(sample.values("risk_level"), risk), 1, 1, _OURS),
        Check("e-mail addresses that are unique, share", pc.count_distinct(mails).as_py() / len(sample), 1, 1, _OURS),
        Check(
            "e-mail addresses at hosts reserved for examples, share",
            float(pc.mean(pc.match_substring_regex(mails, r"@example\.(com|org|net)$").cast(pa.float64())).as_py()),
            1,
            1,
            "RFC 2606",
        ),
    ]


def days_since_epoch(texts: Any) -> Index:
    """Return dates such as ``1984-02-29`` as days since the Unix epoch."""
    return np.asarray(texts.cast(pa.date32()).cast(pa.int32()).to_numpy(), dtype=np.int64)


def _equal(one: Any, other: Any) -> float:
    return float(pc.mean(pc.equal(one, other).cast(pa.float64())).as_py())


_OWN: Final[dict[str, Callable[[Sample], list[Check]]]] = {
    "transaction": _transaction,
    "device-log": _device_log,
    "user-profile": _user_profile,
}
