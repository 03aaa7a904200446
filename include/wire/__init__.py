"""What goes over the wire to a Data Emulator Service and back, without I/O: the hook and its async twin share it."""
