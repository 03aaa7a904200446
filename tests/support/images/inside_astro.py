"""Run inside the Astro image, by its Python: what Airflow makes of the project there, as JSON on the last line."""

import importlib
import json
import logging

from airflow.dag_processing.dagbag import DagBag
from airflow.models.connection import Connection
from airflow.providers_manager import ProvidersManager

logging.disable()
(hook,) = (each for each in ProvidersManager().hooks.values() if each and each.connection_type == "data_emulator")
bag = DagBag("/usr/local/airflow/dags")
connection = Connection.get_connection_from_secrets("data_emulator_default")
answers, message = connection.test_connection()
print(  # noqa: T201
    json.dumps(
        {
            "hook": [hook.hook_name, hook.hook_class_name],
            "file": importlib.import_module(hook.hook_class_name.rpartition(".")[0]).__file__,
            "dags": sorted(bag.dags),
            "import_errors": bag.import_errors,
            "answers": answers,
            "message": message,
        }
    )
)
