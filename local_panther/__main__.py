"""Runs the command `local-panther` as `python -m local_panther`."""

from local_panther.cli import main

if __name__ == "__main__":
    main()
