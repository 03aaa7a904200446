"""What the service does with emulations, without HTTP: admit, run, follow, recover and store them."""
