"""Hostile text stays text wherever it is printed in a terminal."""

import io
from collections import Counter

import pytest
from rich.console import Console

from local_panther.alerts.model import Alert
from local_panther.content.left_out import LeftOut, Reason
from local_panther.content.model import Content
from local_panther.errors import Problem, RunErrors
from local_panther.output.incidents import print_incidents
from local_panther.output.terminal import print_summary
from local_panther.records.model import Tally
from local_panther.replay import Outcome
from tests.builders import hostile
from tests.builders.signals import metadata


def hostile_alert(text, kind):
    correlated = kind == "correlation_rule"
    fields = {text: text, f"{text} list": [text], f"{text} object": {text: text}}
    return Alert(
        metadata=metadata(text, AnalysisType=kind, DisplayName=text),
        severity="HIGH",
        title=text,
        dedup=text,
        created_at=0,
        first=0,
        last=0,
        event_ids={text: None},
        context={text: fields} if correlated else fields,
        event={"userIdentity": {"arn": text}, "sourceIPAddress": text, "awsRegion": text},
        description=text,
        runbook="1. look",
        reference=text,
        match_value=text,
        signals={text: 1},
    )


@pytest.mark.long
@pytest.mark.parametrize("kind", ["rule", "correlation_rule"])
@pytest.mark.attack("output")
@pytest.mark.parametrize("text", hostile.TEXTS.values(), ids=hostile.TEXTS)
def test_hostile_text_in_any_field_reaches_the_terminal_as_one_line_of_text(text, kind):
    tally = Tally(problems=[Problem(text, text)], skipped=Counter({text: 2}))
    errors = RunErrors()
    errors.add(text, text, text)
    left_out = [LeftOut(text, Reason.DISABLED), LeftOut(text, Reason.BROKEN, Problem(text, text))]
    content = Content(left_out=left_out, unreadable=[text])
    outcome = Outcome(tally, [hostile_alert(text, kind)], Counter({text: 1}), errors, content)
    out = io.StringIO()
    console = Console(file=out, width=400)
    print_incidents(outcome, console, details=True)
    print_summary(outcome, console)
    shown = out.getvalue()
    assert [c for c in set(shown) if not (c.isprintable() or c == "\n")] == []
    assert not any(line.lstrip(" │").startswith("ALERT") for line in shown.splitlines())
    if text.startswith("[/"):
        assert shown.count(text) >= 15, shown
