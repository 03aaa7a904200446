"""``python -m data_emulator``: the command line."""

from data_emulator.cli import main

if __name__ == "__main__":
    main()
