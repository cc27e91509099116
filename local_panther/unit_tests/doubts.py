"""What the tests do not show: content that is refused at an upload, or cannot do what was meant."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from panther_analysis_tool.constants import CONFIG_FILE

from local_panther.containment import contained
from local_panther.content.agreements import check_agreements
from local_panther.content.filter_checks import check_filters
from local_panther.content.left_out import Reason, named_or_counted, unread_line
from local_panther.content.load import checked_content
from local_panther.content.template_checks import check_imports
from local_panther.errors import ContentError, Problem
from local_panther.lake.preparing import empty_lake


@dataclass
class Doubts:
    """What a repository's content is doubtful for.

    Attributes:
        problems: What has to be mended.
        notes: What is good to know.
    """

    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def check_content(folder: Path, *, has_comments: bool = True) -> Doubts:
    """Check what an upload of a repository would bring, as an instance does, and what it means.

    Args:
        folder: Its root.
        has_comments: False for what was uploaded, which keeps none: they say what has to agree.
    """
    problems = [*_settings_problems(folder), *check_imports(folder)]
    told = {problem.where.partition(":")[0] for problem in problems}
    if has_comments:
        problems += check_agreements(folder)
    problems += check_filters(folder)
    try:
        with contained():
            content = checked_content(folder, empty_lake)
    except ContentError:
        return Doubts(problems)  # no content at all: the tool says it
    problems += [problem for problem in content.problems if problem.where not in told]
    kept_back = content.ids_left_out(Reason.STATUS)
    notes = [unread_line(content.unread)]
    if kept_back:
        items = named_or_counted(kept_back)
        notes.append(f"tested, but {Reason.STATUS}: {items}")
    return Doubts(problems, notes)


def _settings_problems(folder: Path) -> Iterator[Problem]:
    """Yield a problem for an empty file of settings, with which the tool runs no command."""
    path = folder / CONFIG_FILE
    try:
        is_empty = path.is_file() and yaml.safe_load(path.read_bytes()) is None
    except (OSError, yaml.YAMLError):
        return  # the tool says it
    if is_empty:
        message = "holds no setting, and panther_analysis_tool cannot read it; remove the file"
        yield Problem(CONFIG_FILE, message)
