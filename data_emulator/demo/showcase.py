"""What the demo ends with: a record of each domain, and what to do next."""

from collections.abc import Sequence

from data_emulator.console import console
from data_emulator.settings import Settings
from data_emulator.verify.first_records import first_records
from data_emulator.wire import Manifest

NEXT_STEPS = (
    (
        "Look at a few records, at once and without Airflow:",
        ".venv/bin/data-emulator sample transaction -n 5",
    ),
    (
        "Write a thousand to a folder:",
        ".venv/bin/data-emulator emulate transaction --records 1000 --to data",
    ),
    ("Keep all of this running, Airflow's pages included:", "make up"),
)


def show_records(manifests: Sequence[Manifest], settings: Settings) -> None:
    """Print the first record of each emulation, read back and decoded. Raises ReadBackError."""
    console.print("\nA record of each domain, as it was read back:")
    for manifest in manifests:
        place = f"s3://{manifest.bucket}" if manifest.in_objects else f"Kafka topic {manifest.topic}"
        console.print(f"\n{manifest.emulation_domain}, from {place}", style="bold", markup=False, soft_wrap=True)
        for record in first_records(manifest, settings, 1):
            console.print_json(data=record, indent=1)


def show_next_steps() -> None:
    """Print three commands to go on with, and where to say what is emulated."""
    console.print("\nWhat next?")
    for text, command in NEXT_STEPS:
        console.print(text, markup=False)
        if len(command) + 2 > console.width:
            command = command.replace(" --", " \\\n      --", 1)  # still one command, when it is pasted
        console.print(f"  {command}", style="bold", markup=False, soft_wrap=True)
    console.print(
        "There, the Airflow Variable emulation_domains says what is generated, and how much: see README.md.",
        markup=False,
    )
