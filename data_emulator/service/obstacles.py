"""Why a stored emulation cannot be gone on with: an older version, or other settings, may have accepted it."""

from __future__ import annotations

from collections.abc import Mapping

from data_emulator.domains import all_domains, broken_domains, generator_version
from data_emulator.formats.catalog import FORMATS
from data_emulator.service.store.emulation import Emulation
from data_emulator.sinks.configured import SinkConfiguration


def obstacle(emulation: Emulation, sinks: Mapping[str, SinkConfiguration]) -> str | None:
    """Return why this service cannot run an emulation, or `None`.

    :param sinks: what the settings say of each sink, by name.
    """
    request = emulation.request
    domain, sink = request.emulation_domain, request.emulator_sync
    if request.unreadable:
        return f"its stored request cannot be read: {request.unreadable}"
    if domain in broken_domains():
        return f"its domain {domain!r} cannot be loaded: {broken_domains()[domain]}"
    if domain not in all_domains():
        return f"there is no domain {domain!r} any more: the package that brought it is not installed"
    if sink not in sinks:
        return f"there is no sink {sink!r} any more"
    if not sinks[sink].is_configured:
        return f"{sinks[sink]} in the service's environment, as it was when the emulation was started"
    if request.format_type not in FORMATS:
        return f"there is no format {request.format_type!r} any more"
    return None


def misfit(emulation: Emulation, records: int) -> str | None:
    """Return why the rest of an emulation would not fit what it has written, or `None`.

    :param records: how many it has written for good. With none, whatever makes them now fits.
    """
    now = generator_version(emulation.request.emulation_domain)
    if not records or emulation.generator in (None, now):
        return None
    return (
        f"its first {records:,} records were made by generator {emulation.generator}, and this service has {now}, "
        "which makes other bytes of the same seed: start it again"
    )
