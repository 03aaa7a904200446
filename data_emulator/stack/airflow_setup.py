"""What the stack puts into its Airflow: the pool, the connections and the Variable that the DAGs use.

Rows, and no environment variables, so that they are seen and edited in the UI. What their user has changed stays.
"""

import json
from collections.abc import Mapping

from data_emulator.stack.airflow_api import AirflowApi
from data_emulator.stack.ports import LOOPBACK
from data_emulator.stack.seaweedfs import SeaweedFS
from data_emulator.stack.tansu import Tansu

SERVICE_CONNECTION_ID = "data_emulator_default"
S3_CONNECTION_ID = "data_emulator_s3"
KAFKA_CONNECTION_ID = "data_emulator_kafka"
DOMAINS_VARIABLE = "emulation_domains"
# What the DAG emulates when there is no Variable, written out to be edited.
DOMAINS: tuple[Mapping[str, object], ...] = (
    {"emulation_domain": "user-profile", "emulator_sync": "minio", "timeout": 30},
    {"emulation_domain": "device-log", "emulator_sync": "kafka", "timeout": 60},
    {"emulation_domain": "transaction", "emulator_sync": "kafka", "timeout": 60},
)
_DOMAINS_DESCRIPTION = "What all_emulations_dag emulates: its docs in the UI say which fields an entry has"
POOL = "data_emulator"
POOL_SLOTS = 16
POOL_DESCRIPTION = "Emulations at once, those being waited for included"


def set_up(api: AirflowApi, *, service_port: int, store: SeaweedFS, broker: Tansu) -> None:
    """Create what is missing, and bring the connections' addresses up to date. Raises the errors of AirflowApi."""
    api.ensure_pool(POOL, slots=POOL_SLOTS, description=POOL_DESCRIPTION)
    connect_service(api, service_port)
    connect_store(api, store)
    connect_broker(api, broker)
    api.create_variable(DOMAINS_VARIABLE, json.dumps(DOMAINS, indent=2), description=_DOMAINS_DESCRIPTION)


def connect_service(api: AirflowApi, service_port: int) -> None:
    """Point the connection to this stack's service, unless its user has pointed it to another host."""
    connection = api.connection(SERVICE_CONNECTION_ID)
    if connection is None:
        api.create_connection(
            {
                "connection_id": SERVICE_CONNECTION_ID,
                "conn_type": "data_emulator",
                "description": "The Data Emulator Service of this stack",
                "schema": "http",
                "host": LOOPBACK,
                "port": service_port,
            }
        )
    elif connection["host"] == LOOPBACK and connection["port"] != service_port:
        api.set_connection_port(SERVICE_CONNECTION_ID, service_port)


def connect_store(api: AirflowApi, store: SeaweedFS) -> None:
    """Point the connection to this stack's S3 store, unless its user has pointed it to another host."""
    connection = {
        "connection_id": S3_CONNECTION_ID,
        "conn_type": "aws",
        "description": "The S3 store of this stack",
        "login": store.access_key_id,
        "password": store.secret_access_key,
    }
    _connect_by_extra(api, connection, "endpoint_url", store.endpoint, {"region_name": store.region})


def connect_broker(api: AirflowApi, broker: Tansu) -> None:
    """Point the connection to this stack's Kafka broker, unless its user has pointed it to another host."""
    connection = {
        "connection_id": KAFKA_CONNECTION_ID,
        "conn_type": "kafka",
        "description": "The Kafka broker of this stack",
    }
    _connect_by_extra(api, connection, "bootstrap.servers", broker.bootstrap_servers, {})


def _connect_by_extra(
    api: AirflowApi, connection: Mapping[str, object], field: str, address: str, more: Mapping[str, object]
) -> None:
    """Create the connection with `address` and `more` in its extra, or bring the address there up to date."""
    existing = api.connection(str(connection["connection_id"]))
    if existing is None:
        api.create_connection({**connection, "extra": json.dumps({field: address, **more})})
        return
    extra = json.loads(existing["extra"] or "{}")
    found = str(extra.get(field, ""))
    if f"{LOOPBACK}:" in found and found != address:
        api.set_connection_extra(str(connection["connection_id"]), {**extra, field: address})
