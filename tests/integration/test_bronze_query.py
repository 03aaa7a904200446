"""The query that docs/bronze.md offers answers right, on tables as bronze has them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import obstore
import pytest

from data_emulator.stack.seaweedfs import SeaweedFS
from include.bronze.rows import Row
from include.bronze.table import TableWriter
from tests.support.making import content, plan

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]


def query(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "docs/query_bronze.py"],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_documented_query_joins_payments_to_profiles(s3_store: SeaweedFS, tmp_path: Path) -> None:
    lines: dict[str, list[str]] = {}
    for domain, count in (("user-profile", 400), ("transaction", 500)):
        emulation_id = f"query-{domain}"
        lines[domain] = content(plan(domain=domain, world_users=400), count).decode().splitlines()
        writer = TableWriter(tmp_path / domain, emulation_id, datetime.now(UTC))
        writer.write_rows(Row("s3://b/k", position, None, line) for position, line in enumerate(lines[domain]))
        writer.close()
        key = f"{domain}/emulation_id={emulation_id}/part-00000.parquet"
        obstore.put(s3_store.bucket("bronze"), key, tmp_path / domain)
    environment = {
        "AWS_ENDPOINT_URL": s3_store.endpoint,
        "AWS_REGION": s3_store.region,
        "AWS_ACCESS_KEY_ID": s3_store.access_key_id,
        "AWS_SECRET_ACCESS_KEY": s3_store.secret_access_key,
    }

    done = query(environment)

    assert done.returncode == 0, done.stderr
    data = {domain: [json.loads(line)["data"] for line in of] for domain, of in lines.items()}
    country_of = {profile["user_id"]: profile["country"] for profile in data["user-profile"]}
    expected = Counter(country_of[payment["user_id"]] for payment in data["transaction"])
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in done.stdout.splitlines() if "│" in line]
    assert rows[0] == ["country", "payments", "users", "frauds", "median_amount"]
    found = {row[0]: int(row[1]) for row in rows if row[1].isdigit()}
    assert found == dict(expected)
    assert sum(found.values()) == 500
    (country, *_) = found
    frauds = sum(payment["is_fraud"] for payment in data["transaction"] if country_of[payment["user_id"]] == country)
    assert next(row[3] for row in rows if row[0] == country) == str(frauds)


def test_without_tables_it_says_how_to_get_them(s3_store: SeaweedFS) -> None:
    done = query(
        {
            "AWS_ENDPOINT_URL": s3_store.endpoint,
            "AWS_REGION": s3_store.region,
            "AWS_ACCESS_KEY_ID": s3_store.access_key_id,
            "AWS_SECRET_ACCESS_KEY": s3_store.secret_access_key,
            "BRONZE_BUCKET": "no-tables-here",
        }
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "s3://no-tables-here/user-profile cannot be read: run all_emulations_dag" in done.stderr
