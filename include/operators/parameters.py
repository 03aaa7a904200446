"""The names of the operators' templated parameters, which ``arguments`` may contain."""

#: Of every operator of emulations.
COMMON = ("arguments", "emulation_label", "data_emulator_conn_id")
#: Of an operator that starts an emulation.
START = (
    "emulator_sync",
    "emulation_domain",
    "format_type",
    "sync_type",
    "max_chunk_size",
    "timeout",
    "rate",
    "max_records",
    "seed",
    "compression",
    "window",
    "start_time",
    "end_time",
    "abandon_after",
)
#: Of an operator that waits for one.
WAIT = ("poll_interval", "wait_timeout")
#: Which one, for an operator that only waits.
WAITED_FOR = ("emulation_id", "prev_task_id")
