"""Print what the bronze tables tell of payments, by the country of the user: an example of a query with DuckDB.

The store is the one of the environment's AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, which
`. .lab/up/env.sh` sets for a running `make up`.
"""

import os
import sys
from urllib.parse import urlsplit

import duckdb
import pyarrow.dataset
import pyarrow.fs

# A table is s3://bronze/<domain>/emulation_id=<id>/part-00000.parquet; `record` in it is the JSON that was emulated.
QUERY = """
WITH profiles AS (
    SELECT DISTINCT record->>'$.data.user_id' AS user_id, record->>'$.data.country' AS country
    FROM user_profile
),
payments AS (
    SELECT
        record->>'$.data.user_id' AS user_id,
        (record->>'$.data.amount')::DOUBLE AS amount,
        (record->>'$.data.is_fraud')::BOOLEAN AS is_fraud
    FROM card_transaction
)
SELECT
    country,
    count(*) AS payments,
    count(DISTINCT user_id) AS users,
    count(*) FILTER (is_fraud) AS frauds,
    round(median(amount), 2) AS median_amount
FROM payments JOIN profiles USING (user_id)
GROUP BY country
ORDER BY payments DESC, country
"""


def main() -> None:
    """Run the query, and print its result as a table."""
    if "AWS_ENDPOINT_URL" not in os.environ:
        sys.exit("AWS_ENDPOINT_URL is not set: start a stack with 'make up', then type '. .lab/up/env.sh'")
    endpoint = urlsplit(os.environ["AWS_ENDPOINT_URL"])
    store = pyarrow.fs.S3FileSystem(
        endpoint_override=endpoint.netloc, scheme=endpoint.scheme, region=os.environ.get("AWS_REGION", "us-east-1")
    )
    bucket = os.environ.get("BRONZE_BUCKET", "bronze")
    with duckdb.connect() as database:
        for name, domain in (("user_profile", "user-profile"), ("card_transaction", "transaction")):
            try:
                database.register(name, pyarrow.dataset.dataset(f"{bucket}/{domain}", filesystem=store))
            except OSError as error:
                sys.exit(f"s3://{bucket}/{domain} cannot be read: run all_emulations_dag and bronze_ingest_dag ({error})")
        database.sql(QUERY).show(max_rows=100)


if __name__ == "__main__":
    main()
