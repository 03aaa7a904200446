"""Reading back what emulations have written, and comparing it with what the service says."""
