"""What reading an emulation's data back gives: `readback_objects` for the store, `readback_messages` for the broker."""

from dataclasses import dataclass, field

from data_emulator.errors import EmulatorError


class ReadBackError(EmulatorError):
    """The service, the store, the broker or the schema registry could not be read: nothing can be said of an emulation.

    Data that is there and is wrong is no such error, but one of `Counted.problems`.
    """


@dataclass
class Counted:
    """What was found: `places` is the number of objects, or of partitions with at least one of the records.

    `problems` says where the data is not what the manifest says, one sentence each.
    """

    places: int = 0
    records: int = 0
    bytes: int = 0
    problems: list[str] = field(default_factory=list)
