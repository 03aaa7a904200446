"""Where the article's operators find the service: they know no connections."""

#: In the environment of Airflow's processes.
URL_VARIABLE = "BENCHMARK_SERVICE_URL"
