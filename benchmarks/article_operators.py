"""The article's two operators, as a reader of it would write them: what `benchmarks.airflow` measures ours beside."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any

import requests
from airflow.sdk import BaseOperator, Context

from benchmarks.service_url import URL_VARIABLE


class StartEmulator(BaseOperator):
    """Start an emulation by a POST; returns its id."""

    template_fields: Sequence[str] = (
        "emulator_sync",
        "emulation_domain",
        "format_type",
        "sync_type",
        "max_chunk_size",
        "timeout",
    )

    def __init__(
        self,
        *,
        emulator_sync: str,
        emulation_domain: str,
        format_type: str,
        sync_type: str,
        max_chunk_size: int,
        timeout: int,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.emulator_sync = emulator_sync
        self.emulation_domain = emulation_domain
        self.format_type = format_type
        self.sync_type = sync_type
        self.max_chunk_size = max_chunk_size
        self.timeout = timeout

    def execute(self, context: Context) -> str:
        """Send the request."""
        body = {name: getattr(self, name) for name in self.template_fields}
        response = requests.post(f"{os.environ[URL_VARIABLE]}/emulator/", json=body)
        response.raise_for_status()
        emulation_id: str = response.json()["id"]
        self.log.info("Emulation started with id %s", emulation_id)
        return emulation_id


class StatusEmulation(BaseOperator):
    """Sleep and ask, again and again, until the emulation has completed; the worker slot is held all the time."""

    def __init__(self, *, prev_task_id: str, poll_interval: int = 10, max_retries: int = 30, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.prev_task_id = prev_task_id
        self.poll_interval = poll_interval
        self.max_retries = max_retries

    def execute(self, context: Context) -> str:
        """Wait for the emulation that the task before started."""
        ti = context["ti"]
        emulation_id: str = ti.xcom_pull(task_ids=self.prev_task_id, map_indexes=ti.map_index)
        for _ in range(self.max_retries):
            time.sleep(self.poll_interval)
            response = requests.get(f"{os.environ[URL_VARIABLE]}/emulator/{emulation_id}/status")
            response.raise_for_status()
            status = response.json()["status"]["global_status"]
            self.log.info("Emulation %s is %s", emulation_id, status)
            if status == "completed":
                return emulation_id
            if status not in ("queued", "processing"):
                raise RuntimeError(f"Emulation {emulation_id} is {status}")
        raise TimeoutError(f"Emulation {emulation_id} has not completed in time")
