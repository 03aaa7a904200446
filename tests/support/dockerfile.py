"""Reads a Dockerfile: enough of the language for this project's two, and an error for all else."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

# Of all that there are, those in use here.
INSTRUCTIONS = frozenset(
    {"CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "RUN", "USER", "WORKDIR"}
)


@dataclass(frozen=True)
class Instruction:
    """One instruction, its continued lines joined."""

    name: str
    value: str

    def exec_form(self) -> list[str]:
        """The program and its arguments, of an instruction such as ``CMD ["serve"]``."""
        words = json.loads(self.value[self.value.index("[") :])
        assert all(isinstance(word, str) for word in words)
        return list(words)


@dataclass
class Stage:
    """What lies between one FROM and the next."""

    image: str
    name: str | None
    instructions: list[Instruction] = field(default_factory=list)

    def values(self, name: str) -> list[str]:
        """The values of all instructions of a name, in order."""
        return [each.value for each in self.instructions if each.name == name]

    def the(self, name: str) -> Instruction:
        """The one instruction of a name."""
        (instruction,) = (each for each in self.instructions if each.name == name)
        return instruction

    def environment(self) -> dict[str, str]:
        """What ENV sets."""
        return dict(pair.split("=", 1) for value in self.values("ENV") for pair in value.split())


def read(path: Path) -> list[Stage]:
    """The stages of a Dockerfile."""
    text = "\n".join(line for line in path.read_text().splitlines() if not line.startswith("#"))
    stages: list[Stage] = []
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        if not line.strip():
            continue
        name, _, value = line.partition(" ")
        assert name in INSTRUCTIONS, f"{path}: {line!r} starts with no instruction that is known"
        assert value.strip(), f"{path}: {line!r} has no value"
        if name == "FROM":
            image, _, stage_name = value.partition(" AS ")
            stages.append(Stage(image, stage_name or None))
        else:
            assert stages, f"{path}: {line!r} comes before FROM"
            stages[-1].instructions.append(Instruction(name, value.strip()))
    return stages
