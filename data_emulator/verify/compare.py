"""What is actually in the store and the broker, counted by reading it, compared with what the service says."""

from collections.abc import Iterator
from dataclasses import dataclass

import httpx

from data_emulator.errors import ConfigurationError
from data_emulator.model import State
from data_emulator.settings import Settings
from data_emulator.verify.messages import count_messages
from data_emulator.verify.objects import count_objects
from data_emulator.verify.readback import Counted, ReadBackError
from data_emulator.wire import Manifest

_REQUEST_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Receipt:
    """An emulation's manifest, what was counted, and all that is wrong: nothing, if `problems` is empty."""

    manifest: Manifest
    counted: Counted
    problems: tuple[str, ...]


def write_receipt(emulation_id: str, *, service_url: str, settings: Settings) -> Receipt:
    """Count the data of an emulation, and compare it with the service's manifest.

    `settings` say where the store and the broker are, and the service's token. Raises ReadBackError when the service
    does not know the emulation, or when the service, the store or the broker is not configured or cannot be read.
    """
    manifest = fetch_manifest(emulation_id, service_url=service_url, settings=settings)
    try:
        counted = count_objects(manifest, settings) if manifest.in_objects else count_messages(manifest, settings)
    except ConfigurationError as error:
        raise ReadBackError(str(error)) from None
    return Receipt(manifest, counted, tuple(compare(manifest, counted)))


def fetch_manifest(emulation_id: str, *, service_url: str, settings: Settings) -> Manifest:
    """Ask the service for the manifest of an emulation. Raises ReadBackError."""
    headers = {"Authorization": f"Bearer {settings.token.get_secret_value()}"} if settings.token else {}
    url = f"{service_url}/emulator/{emulation_id}/manifest"
    try:
        response = httpx.get(url, headers=headers, timeout=_REQUEST_TIMEOUT_S)
    except httpx.TransportError as error:
        raise ReadBackError(f"the service at {service_url} cannot be reached: {error}") from error
    if response.is_error:
        raise ReadBackError(f"the service answered GET {url} with {response.status_code}: {response.text[:300]}")
    return Manifest.model_validate_json(response.content)


def compare(manifest: Manifest, counted: Counted) -> Iterator[str]:
    """Yield a sentence for all in which count and manifest differ, and for an emulation that is not completed."""
    if manifest.state != State.COMPLETED:
        yield f"the emulation is {manifest.state}, not completed"
    yield from differences(manifest, counted)


def differences(manifest: Manifest, counted: Counted) -> Iterator[str]:
    """Yield a sentence for all in which count and manifest differ."""
    totals = manifest.totals
    places = totals.objects if manifest.in_objects else totals.partitions
    for name, found, stated in (
        ("objects" if manifest.in_objects else "partitions", counted.places, places),
        ("records", counted.records, totals.records),
        ("bytes", counted.bytes, totals.bytes),
    ):
        if found != stated:
            yield f"{found:,} {name} found, the service says {stated:,}"
    yield from counted.problems
