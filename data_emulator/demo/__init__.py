"""The demo: the DAGs of this project, run for real, and what became of their data."""
