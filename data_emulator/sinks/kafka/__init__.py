"""Kafka: a message a record, in transactions where the broker has them."""
