"""The list of domains to emulate, stored in the Airflow Variable ``emulation_domains``.

The Variable is a JSON array. An entry is a domain's name, or an object with ``emulation_domain`` and any of the other
fields (:mod:`include.domain_list.fields`), which then replace the defaults::

    ["user-profile", {"emulation_domain": "transaction", "timeout": 300, "rate": 5000, "label": "payments"}]

Nothing here imports Airflow, so that a list can be checked anywhere: in a task, in a test, in an editor by
``docs/emulation_domains.schema.json``, or by ``python -m include.domain_list FILE``.
"""

from __future__ import annotations

from .overrides import with_overrides
from .parse import (
    ARTICLE_DOMAINS,
    POLL_INTERVAL_S,
    VARIABLE,
    WAIT_MARGIN_S,
    DomainListError,
    check_entries,
    parse_domain_list,
)

__all__ = [
    "ARTICLE_DOMAINS",
    "POLL_INTERVAL_S",
    "VARIABLE",
    "WAIT_MARGIN_S",
    "DomainListError",
    "check_entries",
    "parse_domain_list",
    "with_overrides",
]
