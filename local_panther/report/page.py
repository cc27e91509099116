"""Writes pages, each as one file that loads nothing from the network."""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from local_panther.alerts.incidents import SEVERITIES
from local_panther.box.writing import write_text
from local_panther.output.basis import basis, no_alert, without_answer
from local_panther.output.facts import detection_facts, notes, reading_facts
from local_panther.replay import Outcome
from local_panther.report.cards import Card, as_json, is_link, mitre_links
from local_panther.report.overview import alerts_over_time, severity_counts
from local_panther.roles.principals import described
from local_panther.roles.summary import nearest
from local_panther.text import first_of, printable
from local_panther.times import event_time, iso, parse_time, span
from local_panther.tuning.advice import some

FOLDED_FROM = 12  # rows of a table, or notes; the others are folded
MAX_ROWS = 200  # rows of a table of targets, including folded ones
PRINTED = 20  # incidents on paper; the overview is printed whole
LISTED = 10  # incidents; the others are folded
MAX_OVERVIEW = 1500  # incidents in the overview
MAX_CELL = 200  # characters of a field of an event

EVENT_COLUMNS = {
    "Time": "eventTime",
    "Event": "eventName",
    "Service": "eventSource",
    "Error": "errorCode",
    "Address": "sourceIPAddress",
    "Account": "recipientAccountId",
    "Region": "awsRegion",
}

# Sizes of all cards, in characters, after which further cards have no JSON, no details, or are
# left out.
JSON_UNTIL, ALL_UNTIL, CARDS_UNTIL = 900_000, 2_400_000, 3_600_000


def write_report(outcome: Outcome, path: Path, sources: Sequence[str] = ("PATHS",)) -> None:
    """Write the report of a replay as one HTML file.

    Args:
        outcome: Outcome of the replay.
        path: File to write.
        sources: Files and folders that were read, for commands that read them again.

    Raises:
        OSError: The file cannot be written; an existing file is unchanged then.
    """
    environment = report_environment()
    paths = list(sources) if "-" not in sources else ["PATHS"]
    cards = [Card(incident, paths) for incident in outcome.incidents]
    rendered, used = _rendered(environment, cards)
    text = environment.get_template("report.html.j2").render(
        outcome=outcome,
        rows=outcome.incidents[:MAX_OVERVIEW],
        cards=rendered,
        queries=used,
        nearest=[] if outcome.alerts else nearest(outcome.role_log, FOLDED_FROM),
        threshold=outcome.role_log.settings.threshold,
        window=outcome.role_log.settings.window_minutes,
        counts=severity_counts(outcome.incidents),
        chart=alerts_over_time(outcome.alerts),
        basis=basis(outcome.tally),
        no_alert=no_alert(outcome.tally),
        without_answer=without_answer(outcome.tally),
        reading=list(reading_facts(outcome.tally)),
        detections=list(detection_facts(outcome)),
        notes=list(notes(outcome)),
    )
    write_text(path, text)


def write_page(path: Path, template: str, **values: Any) -> None:
    """Render a template and write it to a file atomically."""
    write_text(path, report_environment().get_template(template).render(**values))


def _rendered(
    environment: jinja2.Environment, cards: Sequence[Card]
) -> tuple[list[Markup], dict[str, tuple[str, str]]]:
    """Return the cards that fit, and the anchor and text of each query in them by its name.

    The first cards, which are those of the most severe incidents, have everything.
    """
    template = environment.get_template("incident.html.j2")
    queries: dict[str, tuple[str, str]] = {}
    rendered: list[Markup] = []
    size = 0
    for card in cards:
        if size > CARDS_UNTIL:
            break
        in_full = size < ALL_UNTIL
        for call in [c for r in card.incident.runbooks for s in r.steps for c in s.queries]:
            queries.setdefault(call.name, (f"query-{len(queries) + 1}", call.filled.rest))
        text = template.render(
            card=card, queries=queries, in_full=in_full, with_json=size < JSON_UNTIL
        )
        size += len(text)
        rendered.append(Markup(text))
    return rendered, queries


def report_environment(*more: jinja2.BaseLoader) -> jinja2.Environment:
    """Return the environment that renders a report, or pages that use parts of it.

    The value of each expression is made printable, and then escaped.

    Args:
        more: Loaders of further templates.
    """
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([*more, jinja2.PackageLoader("local_panther.report")]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=_shown,
    )
    environment.filters |= {
        "as_json": as_json,
        "csp_hash": _csp_hash,
        "described": described,
        "event_time": event_time,
        "first_of": first_of,
        "is_link": is_link,
        "iso": iso,
        "mitre_links": mitre_links,
        "some": some,
        "span": span,
        "text": _text,
    }
    environment.globals |= {
        "EVENT_COLUMNS": EVENT_COLUMNS,
        "FOLDED_FROM": FOLDED_FROM,
        "LISTED": LISTED,
        "MAX_ROWS": MAX_ROWS,
        "PRINTED": PRINTED,
        "SEVERITIES": SEVERITIES,
        "asset": lambda name: _asset(environment, name),
    }
    return environment


def _asset(environment: jinja2.Environment, name: str) -> Markup:
    """Return one of our style sheets or scripts, which is not escaped."""
    assert environment.loader
    text, _, _ = environment.loader.get_source(environment, name)
    return Markup(text.strip())


def _text(value: object) -> str:
    """Return a field of an event for a table; "" for a missing one."""
    time = parse_time(value) if isinstance(value, str) else None
    if time is not None:
        return event_time(time)
    return "" if value is None else str(value)[:MAX_CELL]


def _csp_hash(text: str) -> str:
    """Return the hash that allows a style sheet or script in a content security policy.

    Source: https://www.w3.org/TR/CSP3/#grammardef-hash-source
    """
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _shown(value: Any) -> Any:
    """Make the value of a template's expression printable, before it is escaped."""
    is_text = isinstance(value, str) and not isinstance(value, Markup)
    return printable(value) if is_text else value
