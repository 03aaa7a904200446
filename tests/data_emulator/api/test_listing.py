"""The lists: emulations, filtered and paged, and the domains with the schemas of their records."""

import json

import httpx
import jsonschema
import pytest

from data_emulator.stack.seaweedfs import SeaweedFS
from tests.support import readback
from tests.support.running_service import RunningService, endless, request

pytestmark = pytest.mark.integration


def test_emulations_are_listed_the_newest_first_in_pages(running: RunningService) -> None:
    ids = [running.post(request()) for _ in range(3)]
    for each in ids:
        running.ended(each)
    body = running.http.get("/emulator/", params={"limit": 2}).json()
    assert [each["id"] for each in body["emulations"]] == [ids[2], ids[1]]
    assert (body["limit"], body["offset"]) == (2, 0)
    body = running.http.get("/emulator/", params={"limit": 2, "offset": 2}).json()
    assert body["emulations"][0] == running.status(ids[0])
    assert body["total"] >= 3
    beyond = running.http.get("/emulator/", params={"offset": body["total"]}).json()
    assert (beyond["emulations"], beyond["total"]) == ([], body["total"])


def test_emulations_are_filtered_by_status_and_domain(running: RunningService) -> None:
    going = running.post(endless(emulation_domain="device-log"))
    done = running.post(request(emulation_domain="device-log"))
    running.ended(done)

    def found(**params: str) -> list[str]:
        body = running.http.get("/emulator/", params={**params, "limit": 1000}).json()
        assert body["total"] == len(body["emulations"])
        return [each["id"] for each in body["emulations"]]

    assert found(status="processing") == [going]
    assert done in found(status="completed")
    assert going not in found(status="completed")
    assert found(status="processing", domain="transaction") == []
    assert found(domain="device-log")[:2] == [done, going]
    assert found(domain="unknown") == []
    running.http.delete(f"/emulator/{going}")
    running.ended(going)


@pytest.mark.parametrize("query", ["status=lost", "limit=0", "limit=1001", "limit=x", "offset=-1"])
def test_a_wrong_filter_is_refused_by_name(http: httpx.Client, query: str) -> None:
    answer = http.get(f"/emulator/?{query}")
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["query", query.partition("=")[0]]


def test_the_domains_schemas_hold_for_what_is_in_the_store(running: RunningService, s3_store: SeaweedFS) -> None:
    domains = {each["name"]: each for each in running.http.get("/domains").json()}
    assert [*domains] == ["user-profile", "device-log", "transaction"]
    for name, described in domains.items():
        assert described["description"]
        jsonschema.Draft202012Validator.check_schema(described["record"])
        validator = jsonschema.Draft202012Validator(described["record"], format_checker=jsonschema.FormatChecker())
        emulation_id = running.post(request(emulation_domain=name, max_records=300))
        running.ended(emulation_id)
        (content,) = readback.objects(s3_store, described["destination"], emulation_id).values()
        for line in content.splitlines():
            validator.validate(json.loads(line))
