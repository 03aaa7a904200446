"""The state that outlives the process, in a database."""
