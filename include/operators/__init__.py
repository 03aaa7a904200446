"""Airflow operators for the Data Emulator Service."""
