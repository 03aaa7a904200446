"""What a DAG file needs of the connection, apart from what reads it: parsing the file must not load that."""

DEFAULT_CONN_NAME = "data_emulator_default"
