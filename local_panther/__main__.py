"""`python -m local_panther` is `local-panther`."""

from local_panther.cli import main

if __name__ == "__main__":
    main()
