"""Airflow hooks for the Data Emulator Service."""
