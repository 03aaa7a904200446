"""The REST API: HTTP around `data_emulator.service.emulations`."""
