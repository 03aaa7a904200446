"""How realistic the records of a domain are: checks with bounds, and a page that shows them."""

from __future__ import annotations

from pathlib import Path

from data_emulator.domains.world import DEFAULT_FRAUD_SHARE
from data_emulator.report.checks import Check, checks
from data_emulator.report.page import page
from data_emulator.report.sample import Sample


def write_report(
    domain: str,
    seed: int,
    records: int,
    path: Path,
    *,
    users: int = 10_000,
    fraud_share: float = DEFAULT_FRAUD_SHARE,
) -> list[Check]:
    """Compute records of a domain, check them, and write a page of HTML about them.

    :param domain: the domain's name on the wire.
    :param seed: of the users and of the records, as in a request.
    :param records: how many; the bounds are meant for a million.
    :param path: of the page; it is overwritten.
    :param users: active users of the world.
    :param fraud_share: share of payments that are fraud.
    :return: the checks, those among them that do not hold.
    :raises KeyError: when there is no such domain.
    :raises OSError: when the page cannot be written.
    """
    sample = Sample.draw(domain, seed, records, users, fraud_share)
    found = checks(sample)
    path.write_text(page(sample, seed, found), encoding="utf-8")
    return found
