"""Runs a replay for an instance, in a process of its own.

    python -m local_panther.serving.worker CONTENT RESULTS WORKERS PATH...

CONTENT is a copy of the stored content, RESULTS an empty folder (see `Results`). Content code runs
here: what it does to this process, it does not do to the server, whose token is not here either.

Exit status: 0 if there are results; 1 if the content does not load, and standard error says why.
"""

import os
import sys
from pathlib import Path

from local_panther.errors import ContentError
from local_panther.processes import end_with_parent
from local_panther.replay import replay
from local_panther.serving.recorder import Recorder


def main() -> int:
    """Run the replay and return the exit status."""
    end_with_parent()
    os.umask(0o077)
    content, results, workers, *paths = sys.argv[1:]
    recorder = Recorder(Path(results))
    try:
        outcome = replay(paths, Path(content), workers=int(workers), observer=recorder)
    except ContentError as error:
        print(error, file=sys.stderr)
        return 1
    if outcome.interrupted:
        return 1
    recorder.finish(outcome)
    return 0


if __name__ == "__main__":
    sys.exit(main())
