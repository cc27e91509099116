"""Measures a replay with a whole content repository, compared with the naive loop.

The content is panther-analysis if `PANTHER_ANALYSIS` names a checkout (its dependencies have to be
installed: `.[panther-analysis]`), else a generated repository of 130 rules of the usual kinds. The
records are recorded if such records lie beside the repository; each has a unique eventID and time.
The loop unpacks, parses and calls `Rule.run` of panther_core for each rule, one after the other,
without the other work of a replay.
"""

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.data import event_mix, event_mix_name, mixed_files
from benchmarks.measure import Figure
from benchmarks.replay import LOOP, REPLAY, best_of
from local_panther.content.load import loaded_content
from local_panther.content.purity import Purity

RULES = 130
SIZES = (3_000, 12_000, 48_000)
RUNS = 2
MOST_OF_LOOP = 0.35

# What most rules do first: `{name}` differs from rule to rule.
KINDS = (
    'return event.get("eventName") == "{name}" and not event.get("errorCode")',
    'return succeeded(event) and event.get("eventName") in NAMES',
    'if event.get("eventSource") != "iam.amazonaws.com":\n        return False\n'
    '    return event.deep_get("requestParameters", "userName", default="") == "{name}"',
    "if not succeeded(event):\n        return False\n"
    '    arn = event.deep_get("userIdentity", "arn", default="")\n'
    '    return arn.endswith("{name}") and event.get("eventName") != "{name}"',
    'return event.udm("actor_user") == "{name}"',
    'if event.get("eventName") != "{name}":\n        return False\n'
    '    return increment_counter(event.get("recipientAccountId")) > 5',
)
BODY = """from panther_detection_helpers.caching import increment_counter

NAMES = ("{name}", "{name}s", "Delete{name}")


def succeeded(event):
    return not (event.get("errorCode") or event.get("errorMessage"))


def rule(event):
    {code}


def title(event):
    return f"{{event.get('eventName')}} by {{event.deep_get('userIdentity', 'arn')}}"
"""


def measure(records: int) -> list[Figure]:
    """Return the seconds of both ways for each size.

    Args:
        records: Larger sizes are left out.
    """
    folder = os.environ.get("PANTHER_ANALYSIS")
    if folder:
        return _figures(Path(folder).resolve(), "panther-analysis", records)
    with TemporaryDirectory() as temporary:  # outside, or this repository would contain it
        _generate_content(Path(temporary))
        return _figures(Path(temporary), f"{RULES} generated rules", records)


def _figures(content: Path, named: str, records: int) -> list[Figure]:
    figures = [_pure_rules(content, named)]
    for size in SIZES:
        if size > records:
            continue
        trail = str(mixed_files(size))
        best = best_of(
            {
                "replay": [*REPLAY, trail, "--content", str(content), "--quiet"],
                "loop": [sys.executable, "-c", LOOP, str(content), trail],
            },
            RUNS,
        )
        ours, loop = best["replay"].processor, best["loop"].processor
        is_last = size == SIZES[-1]
        figures.append(
            Figure(
                f"replay of {size:,} {event_mix_name()}, {named}, beside gzip, json, Rule.run",
                ours,
                "s of processor time",
                loop,
                ours / loop,
                f"≤ {MOST_OF_LOOP}" if is_last else "",
                not is_last or ours / loop <= MOST_OF_LOOP,
            )
        )
    return figures


def _pure_rules(content: Path, named: str) -> Figure:
    """Count the rules whose code shows that they depend on the event alone."""
    with loaded_content(content, strict=False) as loaded:
        model = loaded.data_models.get(loaded.log_type)
        purity = Purity(loaded.modules, model.methods.values() if model else ())
        found = [purity.impure_spots(rule.detection.module.rule) for rule in loaded.rules]
    name = f"rules of {named} that depend on the event alone, of all"
    return Figure(name, found.count(frozenset()), "rules", len(found))


def _generate_content(folder: Path) -> None:
    (folder / "rules").mkdir()
    names = sorted({record["eventName"] for record in event_mix()})
    for number in range(RULES):
        name = names[number * 7 % len(names)]
        code = KINDS[number % len(KINDS)].format(name=name)
        body = BODY.format(name=name, code=code)
        (folder / "rules" / f"rule_{number}.py").write_text(body)
        (folder / "rules" / f"rule_{number}.yml").write_text(
            f"AnalysisType: rule\nRuleID: Generated.Rule.{number}\nEnabled: true\n"
            f"Filename: rule_{number}.py\nLogTypes: [AWS.CloudTrail]\nSeverity: Low\n"
        )
