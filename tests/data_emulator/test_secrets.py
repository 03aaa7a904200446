"""Whatever happens to a service, its secrets are in nothing that it prints, answers or stores."""

import json
from pathlib import Path

import pytest
from pydantic import SecretStr

from data_emulator.stack.seaweedfs import SeaweedFS
from tests.data_emulator.conftest import ServiceFactory
from tests.support.running_service import endless, request

pytestmark = pytest.mark.integration

TOKEN = "t0k3n-of-the-service"
PASSWORD = "p4ssw0rd-of-kafka"


def test_secrets_show_nowhere(serve: ServiceFactory, s3_store: SeaweedFS, tmp_path: Path) -> None:
    service = serve(TOKEN=TOKEN, KAFKA_CONFIG=json.dumps({"sasl.password": PASSWORD}), SINK_TIMEOUT_S=1)
    answers = [service.http.get("/emulator/"), service.http.post("/emulator/", json=request())]
    service.http.headers["Authorization"] = f"Bearer {TOKEN}"

    ids = [service.post(request()), service.post(request(emulator_sync="kafka")), service.post(endless())]
    for each in ids[:2]:
        assert service.ended(each)["status"]["global_status"] == "completed"
    service.wait_for_records(ids[2])
    s3_store.kill()
    try:
        # To a bucket that has not been probed yet: a probe holds for a while.
        answers.append(service.http.post("/emulator/", json=request(emulation_domain="device_log")))
        assert answers[-1].status_code == 400
        answers.append(service.http.get("/readyz"))
        assert answers[-1].status_code == 503
        service.http.delete(f"/emulator/{ids[2]}")
        assert service.ended(ids[2])["status"]["global_status"] == "cancelled"
    finally:
        s3_store.start()
    answers.append(service.http.post("/emulator/", json=request(unheard_of=1)))
    answers += map(service.http.get, ("/emulator/", "/openapi.json", "/metrics", "/domains", "/docs", "/nowhere"))
    for each in ids:
        answers += [service.http.get(f"/emulator/{each}/{what}") for what in ("status", "manifest")]
    service.terminate()

    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert service.output_path in files
    assert "emulation ended" in service.output()
    shown = [answer.text + str(answer.headers) for answer in answers]
    shown += [path.read_bytes().decode(errors="replace") for path in files]
    secrets = (TOKEN, PASSWORD, s3_store.secret_access_key, s3_store.access_key_id, "X-Amz-Signature")
    for secret in secrets:
        assert not any(secret in text for text in shown), SecretStr(secret)
