"""Bronze: the data of completed emulations, read back as their manifests say, checked, and kept as Parquet tables.

What is in here imports the libraries that read and write data (the extra ``bronze``). Only running tasks import it.
"""
