"""Apply the overrides of a manual run, and select its entries."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from .fields import plain
from .parse import DomainListError, problems_of

_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")


def with_overrides(
    domains: Sequence[Mapping[str, Any]],
    *,
    rate: Any = None,
    timeout: Any = None,
    seed: Any = None,
    only: Any = None,
) -> list[dict[str, Any]]:
    """Return the list, or selected entries, with the overrides of a manual run applied.

    The time to wait beyond the duration stays the same, and so does a wait that is shorter than the duration.

    :param domains: as :func:`parse_domain_list` gives them; left as they are
    :param rate: records a second, or ``"unlimited"``; a number may be text, as the form sends it; None as in the list
    :param timeout: how long to emulate, in seconds; None as in the list
    :param seed: None as in the list
    :param only: labels of the entries to emulate; None or none for all
    :return: as :func:`parse_domain_list`
    :raises DomainListError: naming each value that cannot be used
    """
    if isinstance(rate, str) and _NUMBER.fullmatch(rate.strip()):
        rate = float(rate)
    given = {"rate": rate, "timeout": timeout, "seed": seed}
    overrides = {name: plain(value) for name, value in given.items() if value is not None}
    problems = problems_of(overrides) + _problems_of_only(only, [domain["emulation_label"] for domain in domains])
    if problems:
        raise DomainListError(problems, "The overrides of this run")
    replaced = []
    for domain in domains:
        if only and domain["emulation_label"] not in only:
            continue
        margin_s = domain["wait_timeout"] - domain["timeout"]
        new = {**domain, **overrides}
        if margin_s >= 0:
            new["wait_timeout"] = new["timeout"] + margin_s
        replaced.append(new)
    return replaced


def _problems_of_only(only: Any, labels: Sequence[str]) -> list[str]:
    if only is None:
        return []
    if not isinstance(only, list) or not all(isinstance(each, str) for each in only):
        return [f"only is {only!r}; it must be an array of labels, or null"]
    problems = []
    for label in sorted(set(only).difference(labels)):
        close = difflib.get_close_matches(label, labels, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"the labels are {', '.join(map(repr, labels))}"
        problems.append(f"only names {label!r}, but no entry has that label; {hint}")
    return problems
