"""The embedded stack: an S3 store, a Kafka broker, the service and Airflow, started from what pip installed."""
