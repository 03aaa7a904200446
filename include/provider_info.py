"""Provider metadata for Airflow, read through the entry point ``apache_airflow_provider``.

The connection form in the UI is built only from this; the hook class is not consulted.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

# No import of include.connection: it imports the Task SDK, and every Airflow process reads this at start. A test holds
# the two together.
_SECONDS = ["number", "null"]
_TEXT = ["string", "null"]


def get_provider_info() -> dict[str, Any]:
    """Return the metadata, as specified in ``airflow/provider_info.schema.json``."""
    package = _package()
    return {
        "package-name": "lakehouse-data-emulator",
        "name": "Data Emulator",
        "description": "Start emulations of production-like data and wait for them.",
        "connection-types": [
            {
                "connection-type": "data_emulator",
                "hook-name": "Data Emulator",
                "hook-class-name": f"{package}.hooks.data_emulator.DataEmulatorHook",
                "ui-field-behaviour": {
                    "hidden-fields": [],
                    "relabeling": {"password": "Token or password", "schema": "Schema (http or https)"},
                    "placeholders": {
                        "host": "emulator.example.com",
                        "schema": "http",
                        "port": "8000",
                        "login": "leave empty to use a token; with a password: basic authentication",
                        "password": "the service's token; leave empty if it has none",
                        "extra": '{"X-Team": "data-platform"} adds a header to every request',
                    },
                },
                "conn-fields": {
                    "connect_timeout": {
                        "label": "Connect timeout (s)",
                        "description": "Seconds to reach the service.",
                        "schema": {"type": _SECONDS, "default": 5, "exclusiveMinimum": 0},
                    },
                    "read_timeout": {
                        "label": "Read timeout (s)",
                        "description": "Seconds for the whole answer; a long poll's own wait comes on top.",
                        "schema": {"type": _SECONDS, "default": 30, "exclusiveMinimum": 0},
                    },
                    "retry_attempts": {
                        "label": "Attempts",
                        "description": (
                            "How often a request is sent at most, when the service is unreachable, or answers with "
                            "one of the status codes below. 1 means no retry; 13 lasts for two to four minutes."
                        ),
                        "schema": {"type": ["integer", "null"], "default": 13, "minimum": 1},
                    },
                    "backoff_base": {
                        "label": "Back-off base (s)",
                        "description": "The longest wait before the second attempt; doubled for each further one.",
                        "schema": {"type": _SECONDS, "default": 1, "minimum": 0},
                    },
                    "backoff_cap": {
                        "label": "Back-off cap (s)",
                        "description": "No wait between attempts is longer, not even one that Retry-After asks for.",
                        "schema": {"type": _SECONDS, "default": 30, "minimum": 0},
                    },
                    "retry_status_codes": {
                        "label": "Status codes to retry",
                        "description": (
                            "HTTP status codes from 400 to 599 that are transient failures, separated by commas. A "
                            "request refused with another code fails its task at once."
                        ),
                        "schema": {"type": _TEXT, "default": "429, 500, 502, 503, 504"},
                    },
                    "service_url": {
                        "label": "Service URL for browsers",
                        "description": (
                            "Target of links in the UI, like https://emulator.example.com, if browsers reach the "
                            "service at another address than Airflow does. Empty: Schema, Host and Port."
                        ),
                        "schema": {"type": _TEXT, "default": None},
                    },
                    "s3_console_url": {
                        "label": "S3 console URL",
                        "description": (
                            "Target of links to data in S3: a URL with {bucket} and {prefix}, like "
                            "https://minio.example.com/browser/{bucket}/{prefix}. Empty: no links."
                        ),
                        "schema": {"type": _TEXT, "default": None},
                    },
                    "kafka_console_url": {
                        "label": "Kafka console URL",
                        "description": (
                            "Target of links to data in Kafka: a URL with {topic}, like "
                            "https://kafka-ui.example.com/topics/{topic}. Empty: no links."
                        ),
                        "schema": {"type": _TEXT, "default": None},
                    },
                },
            }
        ],
        "hooks": [{"integration-name": "Data Emulator", "python-modules": [f"{package}.hooks.data_emulator"]}],
        "operators": [
            {
                "integration-name": "Data Emulator",
                "python-modules": [
                    f"{package}.operators.run_emulation",
                    f"{package}.operators.start_emulator",
                    f"{package}.operators.status_emulation",
                ],
            }
        ],
        "triggers": [{"integration-name": "Data Emulator", "python-modules": [f"{package}.triggers.emulation"]}],
        "integrations": [{"integration-name": "Data Emulator", "tags": ["service"]}],
    }


def _package() -> str:
    """Return the package's name: ``include`` where DAGs find this very folder by it, else the distribution's."""
    found = find_spec("include")
    is_this = (
        found is not None and found.origin is not None and Path(found.origin).parent.samefile(Path(__file__).parent)
    )
    return "include" if is_this else __name__.rpartition(".")[0]
