"""Finds values that an instance accepts but that cannot be intended.

The checks are those of `agreements` and `filter_checks`. Both read every file of a repository, and
few files change between two runs. So their results are cached by the bytes of all files: the
filters that are wrong, and the files with comments that tie a value to a setting. The settings
themselves are looked up each time.
"""

import json
from pathlib import Path

from local_panther.content.files import COMMENTED, digest_of, names_with
from local_panther.errors import Problem
from local_panther.remembered import folders

KEPT = "filters of"


def doubtful_values(folder: Path, *, with_comments: bool) -> list[Problem]:
    """Return a problem for each value that disagrees with its setting, and each useless filter.

    Args:
        folder: The root of a content repository.
        with_comments: False if the comments that tie values to settings have been removed.
    """
    names = list(names_with(folder, *COMMENTED))
    digest = digest_of(names, folder)
    kept = folders.get(KEPT, digest)
    wrong, commented = json.loads(kept) if kept else _found(folder, names)
    if not kept:
        folders.keep(KEPT, {digest: json.dumps([wrong, commented])})
    problems = [Problem(where, message) for where, message in wrong]
    if commented and with_comments:
        from local_panther.content.agreements import check_agreements

        files = [folder / name for name in commented]
        problems = [*check_agreements(folder, files), *problems]
    return problems


def _found(folder: Path, names: list[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """Return the problems of filters, and the files whose comments name settings."""
    from local_panther.content.agreements import has_agreements
    from local_panther.content.filter_checks import check_filters

    wrong = [(problem.where, problem.message) for problem in check_filters(folder)]
    return wrong, [name for name in names if has_agreements(folder / name)]
