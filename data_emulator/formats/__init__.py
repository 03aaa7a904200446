"""The encodings of records: a function from a batch to a value a record, or an encoder of whole objects, or both."""
