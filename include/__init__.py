"""The Airflow room: the hook, operators and triggers that start emulations and wait for them."""
