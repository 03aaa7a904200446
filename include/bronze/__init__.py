"""Bronze: completed emulations, read back by their manifests, checked and stored as Parquet tables.

What is in here imports the libraries that read and write data (the extra ``bronze``). Only running tasks import it.
"""
