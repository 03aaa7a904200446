"""The engine: worker processes, each running many emulations in turn."""
