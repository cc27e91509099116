"""Runs a replay for an instance, in a process of its own.

    python -m local_panther.serving.worker CONTENT RESULTS WORKERS

CONTENT is a copy of the stored content, RESULTS a folder with the paths to read in it (see
`Results`). Content code runs here: what it does to this process, it does not do to the server,
whose token is not here either.

Exit status: 0 if there are results; 1 if the content does not load, and standard error says why.
"""

import json
import os
import sys
from pathlib import Path

from local_panther.errors import ContentError
from local_panther.processes import end_with_parent
from local_panther.replay import replay
from local_panther.serving.recorder import Recorder
from local_panther.serving.results import Results


def main() -> int:
    """Run the replay and return the exit status."""
    end_with_parent()
    os.umask(0o077)
    content, folder, workers = sys.argv[1:]
    results = Results(Path(folder))
    paths, only = json.loads(results.paths.read_text(encoding="utf-8"))
    recorder = Recorder(results)
    try:
        outcome = replay(
            paths,
            Path(content),
            workers=int(workers),
            observer=recorder,
            only=None if only is None else set(only),
        )
    except ContentError as error:
        print(error, file=sys.stderr)
        return 1
    if outcome.interrupted:
        return 1
    recorder.finish(outcome)
    return 0


if __name__ == "__main__":
    sys.exit(main())
