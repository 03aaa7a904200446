"""Airflow triggers for the Data Emulator Service."""
