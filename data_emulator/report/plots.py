"""What a report shows of each domain, as plots: what was observed, and what was to be expected."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from data_emulator.domains import transaction
from data_emulator.domains.backfill import DAY_US, day_weights, share_of_day
from data_emulator.domains.fraud import SCENARIOS
from data_emulator.domains.geography import CITIES, COUNTRIES, COUNTRY_SHARES, City
from data_emulator.domains.merchants import MERCHANT_COUNT, MERCHANT_ZIPF_EXPONENT
from data_emulator.domains.randomness import Floats, zipf_shares
from data_emulator.domains.world import ACTIVITY_ZIPF_EXPONENT, MAX_DEVICES
from data_emulator.report.checks import days_since_epoch, weekdays
from data_emulator.report.leaks import best_rules
from data_emulator.report.sample import Sample
from data_emulator.report.svg import EXPECTED, MORE_COLOURS, OBSERVED, Axis, Plot, categories

_WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_BUSY: Final = 50


def plots(sample: Sample) -> list[Plot]:
    """Return the plots of a domain: its times, and for the lab's three what else they hold."""
    own: dict[str, list[Any]] = {
        "transaction": [
            _amounts, _amounts_of_scenarios, _scenarios, _leaks, _merchants, _activity, _home_share, _places,
        ],
        "device-log": [_devices_per_user, _sessions_per_device, _kinds, _activity, _home_share, _places],
        "user-profile": [_countries, _ages, _credit_scores, _signups, _homes],
    }  # fmt: skip
    return [plot(sample) for plot in (*own.get(sample.domain, []), _day, _week, _year)]


def _top(*values: Any) -> float:
    return 1.08 * max(float(np.max(each)) for each in values)


def _histogram(title: str, values: Any, bounds: Any, label: str, expected: Floats | None = None) -> Plot:
    counts, _ = np.histogram(values, bounds)
    wanted = counts if expected is None else expected
    plot = Plot(title, Axis(bounds[0], bounds[-1], label), Axis(0, _top(counts, wanted), "records"))
    plot.bars(bounds, counts, name="" if expected is None else "observed")
    if expected is not None:
        plot.line((np.asarray(bounds)[1:] + np.asarray(bounds)[:-1]) / 2, wanted, name="expected")
    return plot


def _bars(title: str, names: Any, observed: Any, label: str, expected: Any = None) -> Plot:
    places = np.arange(len(names) + 1.0)
    observed = [float(value) for value in observed]
    tops = observed if expected is None else [*observed, *expected]
    plot = Plot(title, Axis(0, len(names), ticks=categories(names)), Axis(0, _top(tops), label))
    if expected is None:
        plot.bars(_spread(places, 0.15, 0.85), _between(observed))
        return plot
    plot.bars(_spread(places, 0.15, 0.5), _between(observed), name="observed")
    plot.bars(_spread(places, 0.5, 0.85), _between(expected), EXPECTED, name="expected")
    return plot


def _spread(places: Floats, start: float, stop: float) -> list[float]:
    """Return bounds of bars that take only a part of each place; between them are bars without height."""
    return [place + part for place in places[:-1] for part in (start, stop)]


def _between(values: Any) -> list[float]:
    return [each for value in values for each in (float(value), 0.0)][:-1]


def _zipf(title: str, counts: NDArray[Any], shares: Floats, total: int, exponent: float) -> Plot:
    ordered = np.sort(counts[counts > 0])[::-1]
    ranks = np.unique(np.geomspace(1, len(ordered), 120).astype(int))
    wanted = shares[ranks - 1] * total
    plot = Plot(
        f"{title}: Zipf with exponent {exponent:g}",
        Axis(0.8, len(shares) * 1.3, "rank", log=True),
        Axis(max(0.5, float(ordered[ranks - 1].min()) / 2), _top(ordered, wanted) * 1.5, "records", log=True),
    )
    plot.points(ranks, ordered[ranks - 1], [2.4] * len(ranks), name="observed")
    plot.line(ranks, wanted, name="expected")
    return plot


def _day(sample: Sample) -> Plot:
    hours = sample.time_us % DAY_US / 3.6e9
    bounds = np.arange(0, 24.25, 0.5)
    expected = np.diff(share_of_day(bounds * 3600)) * len(sample)
    plot = _histogram("Time of day: normal around noon, sd 20,000 s", hours, bounds, "hour, UTC", expected)
    plot.x = Axis(0, 24, "hour, UTC", ticks=[(hour, f"{hour:02}") for hour in range(0, 25, 3)])
    return plot


def _week(sample: Sample) -> Plot:
    weekday = weekdays(sample.time_us // DAY_US)
    counts = np.bincount(weekday, minlength=7)
    days = np.unique(sample.time_us // DAY_US)
    wanted = np.bincount(weekdays(days), day_weights(days), minlength=7)
    return _bars(
        "Weekdays, December's weights included", _WEEKDAYS, counts, "records", wanted / wanted.sum() * len(sample)
    )


def _year(sample: Sample) -> Plot:
    day = sample.time_us // DAY_US
    days = np.arange(day.min(), day.max() + 1)
    week = (days - days[0]) // 7
    whole = np.bincount(week) == 7
    counts = np.bincount((day - days[0]) // 7)[whole]
    wanted = np.bincount(week, day_weights(days))
    wanted = (wanted / wanted.sum() * len(sample))[whole]
    month = (days[0] + 7 * np.arange(len(counts))).astype("datetime64[D]").astype("datetime64[M]")
    starts = [
        (float(at), _MONTHS[int(str(month[at])[5:7]) - 1]) for at in np.flatnonzero(np.diff(month).astype(int)) + 1
    ]
    plot = Plot(
        "Season: December is doubled",
        Axis(0, len(counts), "week of the year", ticks=starts),
        Axis(0, _top(counts), "records"),
    )
    plot.bars(np.arange(len(counts) + 1.0), counts, name="observed")
    plot.line(np.arange(len(counts)) + 0.5, wanted, name="expected")
    return plot


def _activity(sample: Sample) -> Plot:
    shares = zipf_shares(sample.world.users, ACTIVITY_ZIPF_EXPONENT)
    return _zipf("Users' activity", np.bincount(sample.users), shares, len(sample), ACTIVITY_ZIPF_EXPONENT)


def _merchants(sample: Sample) -> Plot:
    shares = zipf_shares(MERCHANT_COUNT, MERCHANT_ZIPF_EXPONENT)
    counts = np.bincount(sample.codes("merchant")[0])
    return _zipf("Merchants' popularity", counts, shares, len(sample), MERCHANT_ZIPF_EXPONENT)


def _home_share(sample: Sample) -> Plot:
    records = np.bincount(sample.users)
    busy = records >= _BUSY
    shares = np.bincount(sample.users, weights=sample.at_home)[busy] / records[busy]
    bounds = np.arange(0.8, 1.0001, 0.01)
    counts, _ = np.histogram(shares, bounds)
    title = f"Share of records in the home country, for users with {_BUSY} or more"
    plot = Plot(title, Axis(0.8, 1, "share at home"), Axis(0, _top(counts, 1), "users"))
    plot.bars(bounds, counts)
    return plot


def _map(title: str, shares: Floats) -> Plot:
    plot = Plot(
        title,
        Axis(-130, 160, "longitude", ticks=[(at, f"{at}°") for at in range(-120, 151, 60)]),
        Axis(-35, 68, "latitude", ticks=[(at, f"{at}°") for at in range(-30, 61, 30)]),
    )
    plot.points(
        [city.longitude for city in CITIES],
        [city.latitude for city in CITIES],
        [1 + 45 * float(share) ** 0.5 for share in shares],
    )
    labelled: list[City] = []
    for place in np.argsort(-shares).tolist():
        city = CITIES[place]
        if all(abs(city.longitude - o.longitude) > 40 or abs(city.latitude - o.latitude) > 7 for o in labelled):
            plot.text(city.longitude, city.latitude, city.name, dy=-4 - 45 * float(shares[place]) ** 0.5)
            labelled.append(city)
    return plot


def _places(sample: Sample) -> Plot:
    return _map("Where records are: area by share", np.bincount(sample.cities, minlength=len(CITIES)) / len(sample))


def _homes(sample: Sample) -> Plot:
    homes = sample.world.home_cities(np.arange(len(sample)))
    return _map("Where users live: area by share", np.bincount(homes, minlength=len(CITIES)) / len(sample))


def _honest(sample: Sample) -> NDArray[np.bool_]:
    return ~np.asarray(sample.values("is_fraud").to_numpy(zero_copy_only=False), dtype=bool)


def _log_normal(bounds: Floats, total: int) -> Floats:
    middle = (np.log(bounds[1:]) + np.log(bounds[:-1])) / 2
    z = (middle - transaction.AMOUNT_MU) / transaction.AMOUNT_SIGMA
    density = np.exp(-(z**2) / 2) / (transaction.AMOUNT_SIGMA * np.sqrt(2 * np.pi))
    return np.asarray(density * np.diff(np.log(bounds)) * total, dtype=np.float64)


def _amounts(sample: Sample) -> Plot:
    amounts = sample.floats("amount")[_honest(sample)]
    bounds = np.geomspace(1, 1000, 61)
    expected = _log_normal(bounds, len(amounts))
    counts, _ = np.histogram(amounts, bounds)
    title = f"Amounts of honest payments: log-normal, mu {transaction.AMOUNT_MU}, sigma {transaction.AMOUNT_SIGMA}"
    plot = Plot(title, Axis(1, 1000, "amount", log=True), Axis(0, _top(counts, expected), "records"))
    plot.bars(bounds, counts, name="observed")
    plot.line(np.sqrt(bounds[1:] * bounds[:-1]), expected, name="expected")
    return plot


def _amounts_of_scenarios(sample: Sample) -> Plot:
    amounts = sample.floats("amount")
    labels = np.array(sample.values("fraud_scenario").to_pylist(), dtype=object)
    bounds = np.geomspace(0.3, 2000, 25)
    middle = np.sqrt(bounds[1:] * bounds[:-1])
    shares = [np.histogram(amounts[labels == scenario], bounds)[0] for scenario in (*SCENARIOS, None)]
    shares = [counts / max(counts.sum(), 1) for counts in shares]
    plot = Plot(
        "Amounts by fraud scenario: all overlap with honest payments",
        Axis(0.3, 2000, "amount", log=True),
        Axis(0, _top(*shares), "share of each kind"),
    )
    plot.bars(bounds, shares[-1], "#cbd5e0", name="honest")
    for scenario, counts, colour in zip(SCENARIOS, shares, MORE_COLOURS, strict=False):
        plot.line(middle, counts, colour, name=scenario.replace("_", " "))
    return plot


def _scenarios(sample: Sample) -> Plot:
    labels = sample.values("fraud_scenario")
    counts = [pc.sum(pc.equal(labels, scenario)).as_py() or 0 for scenario in SCENARIOS]
    return _bars(
        "Fraud scenarios, as often in bursts, of 1 to 12 payments each",
        [scenario.replace("_", " ") for scenario in SCENARIOS],
        counts,
        "payments",
    )


def _leaks(sample: Sample) -> Plot:
    rules = best_rules(sample)[:6]
    names = [f"{rule.field}: {rule.worth:.2f}" for rule in rules]
    plot = Plot(
        "The best rules on a single field: smaller of precision and recall",
        Axis(0, 1, "0.9 would be a leak"),
        Axis(0, len(rules), ticks=[]),
    )
    for position, (name, rule) in enumerate(zip(names, rules, strict=True)):
        y = len(rules) - position - 1
        plot.line([0, rule.worth], [y + 0.3, y + 0.3], OBSERVED)
        plot.text(0, y + 0.45, name, anchor="start")
    plot.line([0.9, 0.9], [0, len(rules)])
    return plot


def _devices_per_user(sample: Sample) -> Plot:
    pairs = np.unique(np.stack([sample.users, sample.codes("device_id")[0]]), axis=1)
    devices = np.bincount(pairs[0])
    counts = np.bincount(devices[devices > 0], minlength=MAX_DEVICES + 1)[1:]
    return _bars("Devices a user", [str(number + 1) for number in range(len(counts))], counts, "users")


def _sessions_per_device(sample: Sample) -> Plot:
    sessions = np.bincount(sample.codes("device_id")[0])
    bounds = np.geomspace(1, sessions.max() + 1, 31)
    counts, _ = np.histogram(sessions, bounds)
    plot = Plot(
        "Sessions a device: devices are reused",
        Axis(1, bounds[-1], "sessions", log=True),
        Axis(0, _top(counts), "devices"),
    )
    plot.bars(bounds, counts)
    return plot


def _kinds(sample: Sample) -> Plot:
    codes, names = sample.codes("os")
    counts = np.bincount(codes)
    order = np.argsort(-counts)
    return _bars(
        "Sessions by operating system", [names[int(place)].as_py() for place in order], counts[order], "records"
    )


def _countries(sample: Sample) -> Plot:
    names = [country.code for country in COUNTRIES]
    codes, values = sample.codes("country")
    found = dict(zip(values.to_pylist(), np.bincount(codes).tolist(), strict=True))
    return _bars("Countries", names, [found.get(name, 0) for name in names], "users", COUNTRY_SHARES * len(sample))


def _ages(sample: Sample) -> Plot:
    age = (days_since_epoch(sample.values("signup_date")) - days_since_epoch(sample.values("date_of_birth"))) / 365.25
    return _histogram("Age at sign-up", age, np.arange(16, 83, 2.0), "years")


def _credit_scores(sample: Sample) -> Plot:
    return _histogram("Credit scores", sample.floats("credit_score"), np.arange(300, 861, 20.0), "score")


def _signups(sample: Sample) -> Plot:
    years = (
        days_since_epoch(sample.values("signup_date")).astype("datetime64[D]").astype("datetime64[Y]").astype(int)
        + 1970
    )
    first = int(years.min())
    counts = np.bincount(years - first)
    return _bars("Sign-ups by year", [str(first + place) for place in range(len(counts))], counts, "users")
