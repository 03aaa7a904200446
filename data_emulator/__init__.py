"""Data Emulator Service: realistic synthetic data per domain, to S3 and Kafka, with proof of what it wrote."""
