"""Runs a replay for an instance, in a process of its own.

    python -m local_panther.serving.worker CONTENT RESULTS WORKERS BOX

CONTENT is a copy of the stored content, RESULTS a folder with the paths to read in it (see
`Results`). Content code runs here: what it does to this process, it does not do to the server,
whose token is not here either. BOX says whether it runs in the box.

Exit status: 0 if there are results; 1 if the content does not load, and standard error says why.
"""

import json
import os
import sys
from pathlib import Path

from local_panther.box.entry import ANY_NETWORK, NO_NETWORK, enter
from local_panther.box.environment import OF_S3
from local_panther.errors import ContentError
from local_panther.instance.guarded import TRUSTED
from local_panther.processes import end_with_parent
from local_panther.records.s3 import is_s3
from local_panther.replay import replay
from local_panther.serving.recorder import Recorder
from local_panther.serving.results import Results


def main() -> int:
    """Run the replay and return the exit status."""
    end_with_parent()
    os.umask(0o077)
    content, folder, workers, box = sys.argv[1:]
    results = Results(Path(folder))
    paths, only = json.loads(results.paths.read_text(encoding="utf-8"))
    if box != TRUSTED:
        has_s3 = any(map(is_s3, paths))
        # Which goes with the results: the guard would end what removes one elsewhere.
        temporary = results.folder / "tmp"
        temporary.mkdir(mode=0o700)
        enter(
            temporary=temporary,
            writable=[results.folder],
            network=ANY_NETWORK if has_s3 else NO_NETWORK,
            kept=OF_S3 if has_s3 else (),
        )
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
    status = main()
    sys.stderr.flush()
    os._exit(status)  # whatever threads content code has started
