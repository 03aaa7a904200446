"""Starting an emulation: what is asked for is what is done, and what makes no sense is refused by name."""

import json
from typing import Any

import httpx
import pytest

from data_emulator.domains import all_domains
from data_emulator.settings import Settings
from data_emulator.stack.seaweedfs import SeaweedFS
from tests.support import readback
from tests.support.running_service import Json, RunningService, request

pytestmark = pytest.mark.integration


def records(store: SeaweedFS, emulation_id: str) -> list[Json]:
    there = readback.objects(store, "transactions", emulation_id)
    return [json.loads(line) for content in there.values() for line in content.splitlines()]


@pytest.mark.parametrize("max_records", [1, 4096, 10_001])
def test_max_records_is_exact(running: RunningService, s3_store: SeaweedFS, max_records: int) -> None:
    emulation_id = running.post(request(max_records=max_records))
    assert running.ended(emulation_id)["progress"]["records"] == max_records
    assert len(records(s3_store, emulation_id)) == max_records


def test_a_rate_is_kept_and_the_answer_echoes_it(running: RunningService, s3_store: SeaweedFS) -> None:
    body = request(rate=50, max_records=None, timeout=2)
    created = running.http.post("/emulator/", json=body).json()
    assert created["rate"] == 50
    status = running.ended(created["id"])
    assert status["progress"]["records"] == 100 == len(records(s3_store, created["id"]))
    assert status["progress"]["elapsed_s"] >= 2


def test_without_a_rate_the_default_applies(running: RunningService) -> None:
    body = {key: value for key, value in request(max_records=None, timeout=1).items() if key != "rate"}
    created = running.http.post("/emulator/", json=body).json()
    assert created["rate"] == 2000
    assert running.ended(created["id"])["progress"]["records"] == 2000


def test_a_rate_of_null_is_as_fast_as_it_goes(running: RunningService) -> None:
    created = running.http.post("/emulator/", json=request(rate=None, max_records=None, timeout=1)).json()
    assert created["rate"] is None
    assert running.ended(created["id"])["progress"]["records"] > 4000


@pytest.mark.parametrize("given", [{}, {"abandon_after": None}, {"abandon_after": 10}])
def test_when_it_is_abandoned_is_echoed(running: RunningService, given: Json) -> None:
    created = running.http.post("/emulator/", json=request(**given)).json()
    assert created["abandon_after"] == given.get("abandon_after")
    assert running.ended(created["id"])["status"]["global_status"] == "completed"


def test_nothing_lies_in_the_future(running: RunningService, s3_store: SeaweedFS) -> None:
    for body in (request(rate=1000), request(rate=None, max_records=20_000)):
        emulation_id = running.post(body)
        running.ended(emulation_id)
        modified = max(
            meta["last_modified"].timestamp() for meta in readback.listing(s3_store, "transactions", emulation_id)
        )
        assert all(each["timestamp"] < modified + 1 for each in records(s3_store, emulation_id))


def test_the_same_seed_gives_the_same_data(running: RunningService, s3_store: SeaweedFS) -> None:
    ids = [running.post(request(seed=seed)) for seed in (77, 77, 78)]
    for each in ids:
        running.ended(each)
    first, second, other = ([data(each) for each in records(s3_store, emulation_id)] for emulation_id in ids)
    assert first == second
    assert first != other


def test_without_a_seed_the_records_are_new_and_the_users_are_not(running: RunningService, s3_store: SeaweedFS) -> None:
    ids = [running.post(request(max_records=3000)) for _ in range(2)]
    for each in ids:
        running.ended(each)
    first, second = (records(s3_store, each) for each in ids)
    assert {data(each)["transaction_id"] for each in first}.isdisjoint(data(each)["transaction_id"] for each in second)
    assert {data(each)["user_id"] for each in first} & {data(each)["user_id"] for each in second}


def test_every_user_profile_emulation_is_full(running: RunningService) -> None:
    """The original runs out of user ids."""
    for _ in range(2):
        emulation_id = running.post(request(emulation_domain="user-profile", max_records=12_000))
        assert running.ended(emulation_id)["progress"]["records"] == 12_000


def test_the_domain_may_be_in_any_case(running: RunningService) -> None:
    created = running.http.post("/emulator/", json=request(emulation_domain="Device-LOG"))
    assert created.status_code == 201
    assert created.json()["emulation_domain"] == "device-log"
    running.ended(created.json()["id"])


def test_the_answer_tells_where_the_status_is(running: RunningService) -> None:
    created = running.http.post("/emulator/", json=request())
    status = running.http.get(created.headers["Content-Location"])
    assert status.json()["id"] == created.json()["id"]
    running.ended(created.json()["id"])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("timeout", -1),
        ("timeout", 10**9),
        ("timeout", 1.5),
        ("timeout", "soon"),
        ("timeout", None),
        ("max_chunk_size", 0),
        ("max_chunk_size", -1),
        ("max_chunk_size", 10**15),
        ("rate", 0),
        ("rate", -5),
        ("rate", 1e300),
        ("rate", "fast"),
        ("max_records", 0),
        ("max_records", -1),
        ("max_records", 10**30),
        ("max_records", 1.5),
        ("seed", 2**63),
        ("seed", "x"),
        ("abandon_after", 9),
        ("abandon_after", 0),
        ("abandon_after", -900),
        ("abandon_after", 10.5),
        ("abandon_after", "soon"),
        ("fail_if_short", "perhaps"),
        ("fail_if_short", None),
        ("emulator_sync", 5),
        ("sync_type", None),
        ("unheard_of", 1),
    ],
)
def test_a_wrong_value_is_refused_by_the_fields_name(http: httpx.Client, field: str, value: Any) -> None:
    before = http.get("/emulator/").json()["total"]
    answer = http.post("/emulator/", json=request(**{field: value}))
    assert answer.status_code == 422
    assert [each["loc"] for each in answer.json()["detail"]] == [["body", field]]
    assert http.get("/emulator/").json()["total"] == before


@pytest.mark.parametrize(
    "asked_for", [{"rate": None, "max_records": None}, {"rate": 100_000, "max_records": None}, {"max_records": 10**11}]
)
def test_one_object_that_may_be_larger_than_s3_can_keep_is_refused_before_it_is_begun(
    running: RunningService, asked_for: Json
) -> None:
    body = request(timeout=7 * 24 * 3600, **asked_for)
    answer = running.http.post("/emulator/", json=body)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("sync_type 'grouped' is one object, of at most 5 TiB")
    emulation_id = running.post({**body, "sync_type": "chunked", "max_chunk_size": 10**6})
    assert running.http.delete(f"/emulator/{emulation_id}").status_code == 202
    running.ended(emulation_id)


def test_an_unknown_field_is_answered_with_the_one_that_was_meant(http: httpx.Client) -> None:
    answer = http.post("/emulator/", json=request(max_record=5, colour="red"))
    by_field = {each["loc"][-1]: each["msg"] for each in answer.json()["detail"]}
    assert by_field == {"max_record": "unknown field; did you mean 'max_records'?", "colour": "unknown field"}
    (wrong,) = http.post("/emulator/status", json={"ids": ["x"], "id": ["x"]}).json()["detail"]
    assert wrong["msg"] == "unknown field; did you mean 'ids'?"


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_rate_that_is_no_number_is_refused(http: httpx.Client, number: str) -> None:
    body = json.dumps(request()).replace('"rate": null', f'"rate": {number}')
    answer = http.post("/emulator/", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("field", "value", "detail"),
    [
        (
            "emulator_sync",
            "MinIO",
            (
                "Unsupported emulator sync type: MinIO; did you mean 'minio'? There are minio, kafka, file (minio is "
                "any S3 store, file a folder)"
            ),
        ),
        (
            "emulation_domain",
            "Transactions",
            f"Domain not supported: Transactions; did you mean 'transaction'? There are {', '.join(all_domains())}",
        ),
        ("emulation_domain", "", f"Domain not supported: ''; there are {', '.join(all_domains())}"),
        (
            "format_type",
            "parqet",
            "Format not supported: format_type 'parqet'; did you mean 'parquet'? There are json, csv, parquet, avro",
        ),
        (
            "compression",
            "gz",
            (
                "Compression not supported: compression 'gz' with format_type 'json'; did you mean 'gzip'? "
                "There are none, gzip, zstd; left out, it is none"
            ),
        ),
    ],
)
def test_an_unknown_name_is_answered_with_known_ones(http: httpx.Client, field: str, value: str, detail: str) -> None:
    answer = http.post("/emulator/", json=request(**{field: value}))
    assert (answer.status_code, answer.json()["detail"]) == (400, detail)


def data(record: Json) -> Json:
    """Return a record's data without the time at which it was made."""
    return {key: value for key, value in record["data"].items() if key != "timestamp"}


class TestDays:
    """Backfills of days, as a run for each interval asks for them."""

    @staticmethod
    def day(running: RunningService, s3_store: SeaweedFS, number: int, seed: int, **more: Any) -> list[Json]:
        times = {"start_time": f"2025-01-0{number}T00:00:00Z", "end_time": f"2025-01-0{number + 1}T00:00:00Z"}
        asked = request(rate=None, max_records=500, seed=seed, **times, **more)
        emulation_id = running.post(asked)
        running.ended(emulation_id)
        found = records(s3_store, emulation_id)
        assert {each.pop("emulation_id") for each in found} == {emulation_id}
        return found

    def test_a_day_that_is_made_again_is_the_same(self, running: RunningService, s3_store: SeaweedFS) -> None:
        assert self.day(running, s3_store, 1, 7) == self.day(running, s3_store, 1, 7)

    def test_days_are_about_the_same_users_if_their_world_is(
        self, running: RunningService, s3_store: SeaweedFS
    ) -> None:
        profiles_id = running.post(
            request(emulation_domain="user-profile", rate=None, max_records=Settings().world_users)
        )
        running.ended(profiles_id)
        lines = readback.objects(s3_store, "user-profiles", profiles_id).values()
        service_users = {json.loads(line)["data"]["user_id"] for each in lines for line in each.splitlines()}

        def users(rows: list[Json]) -> set[str]:
            return {row["data"]["user_id"] for row in rows}

        first, second = (self.day(running, s3_store, day, seed=day, world_seed=None) for day in (1, 2))
        assert users(first) | users(second) <= service_users
        ids = [row["data"]["transaction_id"] for row in first + second]
        assert len(set(ids)) == len(ids)
        own, another = self.day(running, s3_store, 1, 1), self.day(running, s3_store, 1, 1, world_seed=5)
        assert users(own).isdisjoint(service_users)
        assert users(another).isdisjoint(service_users | users(own))
