"""Writes the page."""

import os
import tempfile
from pathlib import Path
from typing import Any

import jinja2
import markupsafe

from local_panther.output.facts import (
    alert_facts,
    detection_facts,
    notes,
    reading_facts,
)
from local_panther.replay import Outcome
from local_panther.report.timeline import MAX_MARKS, lay_out
from local_panther.text import printable
from local_panther.times import iso, span
from local_panther.tuning.advice import some

FOLDED_FROM = 12  # lines of one value, and rows of a table


def write_report(outcome: Outcome, path: Path) -> None:
    """Write the report of a replay as one HTML file.

    Raises:
        OSError: The file cannot be written; one that was there before is as it was.
    """
    alerts = [
        {
            "alert": alert,
            "facts": list(alert_facts(alert)),
            "timeline": lay_out(alert.timeline, alert),
        }
        for alert in outcome.alerts
    ]
    write_page(
        path,
        "report.html.j2",
        alerts=alerts,
        reading=list(reading_facts(outcome)),
        detections=list(detection_facts(outcome)),
        notes=list(notes(outcome)),
    )


def write_page(path: Path, template: str, **values: Any) -> None:
    """Render a template and put it in its place in one step."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("local_panther.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=_shown,
    )
    environment.filters |= {"iso": iso, "span": span, "shown": printable, "some": some}
    environment.globals |= {"FOLDED_FROM": FOLDED_FROM, "MAX_MARKS": MAX_MARKS}
    text = environment.get_template(template).render(**values)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as file:
            file.write(text)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _shown(value: Any) -> Any:
    """Make whatever an expression of a template shows printable, before it is escaped."""
    is_text = isinstance(value, str) and not isinstance(value, markupsafe.Markup)
    return printable(value) if is_text else value
