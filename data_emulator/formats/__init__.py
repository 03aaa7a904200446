"""The encodings of records, each a function from a batch of records to one binary value a record."""
