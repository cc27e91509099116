"""Parses the `Detection` of a correlation rule, with the checks of an instance."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from local_panther.content.schedule import Schedule, parse_schedule
from local_panther.errors import FieldError

MIN_LOOKBACK_MINUTES = 15
MAX_LOOKBACK_MINUTES = 21_600
MIN_STEPS = 2
MAX_STEPS = 50


@dataclass(frozen=True)
class Step:
    """A step of a correlation rule: a rule whose signals take part.

    Attributes:
        id: The ID of the step; by default that of its rule.
        rule_id: The ID of the rule.
        min_count: Minimum number of signals; 0 for an Absence step.
        max_count: Maximum number of signals, None for no maximum; 0 for an Absence step.
    """

    id: str
    rule_id: str
    min_count: int = 1
    max_count: int | None = None

    @property
    def absent(self) -> bool:
        """True for an Absence step, whose rule must have no signal."""
        return self.max_count == 0


@dataclass(frozen=True)
class Criterion:
    """Fields that must have one value in common.

    Attributes:
        fields: Paths of the fields (`userIdentity.arn`, `p_alert_context.user`) by step ID.
    """

    fields: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Transition:
    """A transition from one step of a Sequence to a later one.

    Attributes:
        source: The ID of the earlier step.
        target: The ID of the later step.
        within: Most seconds between the two, inclusive; None for the rule's lookback.
    """

    source: str
    target: str
    within: int | None = None


@dataclass(frozen=True)
class CorrelationLogic:
    """A checked `Detection`.

    Attributes:
        ordered: True for a Sequence, False for a Group.
        lookback: Length of the window that holds all signals of a match, in seconds.
        min_steps: Number of steps of a Group that must hold; by default all.
        newest_first: True if EventEvaluationOrder is ReverseChronological.
        fields: The paths of all criteria.
    """

    ordered: bool
    steps: tuple[Step, ...]
    criteria: tuple[Criterion, ...]
    lookback: int
    schedule: Schedule
    min_steps: int
    transitions: tuple[Transition, ...] = ()
    newest_first: bool = False
    fields: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        paths = {p for criterion in self.criteria for ps in criterion.fields.values() for p in ps}
        object.__setattr__(self, "fields", frozenset(paths))


def parse_correlation(spec: Mapping[str, Any]) -> CorrelationLogic:
    """Parse the `Detection` of a correlation rule.

    Args:
        spec: The rule's YAML, as a mapping.

    Raises:
        FieldError: A key is invalid; the message names it and says why.
    """
    detection = _single_detection(spec.get("Detection"))
    ordered = "Sequence" in detection
    kind = "Sequence" if ordered else "Group"
    steps = _steps(detection[kind], f"Detection[0].{kind}")
    ids = {step.id for step in steps}
    transitions: tuple[Transition, ...] = ()
    criteria: tuple[Criterion, ...] = ()
    if ordered:
        transitions, criteria = _transitions(detection.get("Transitions") or [], steps)
    else:
        criteria = _match_criteria(detection.get("MatchCriteria") or {}, ids)
    order = _choice(
        detection, "EventEvaluationOrder", ("Chronological", "ReverseChronological"), "Detection[0]"
    )
    return CorrelationLogic(
        ordered=ordered,
        steps=steps,
        criteria=criteria,
        lookback=_lookback(detection) * 60,
        schedule=parse_schedule(detection.get("Schedule"), "Detection[0].Schedule"),
        min_steps=len(steps) if ordered else _group_minimum(detection, len(steps)),
        transitions=transitions,
        newest_first=order == "ReverseChronological",
    )


def _single_detection(detection: Any) -> Mapping[str, Any]:
    if not isinstance(detection, list) or len(detection) != 1:
        raise FieldError("Detection: must be a list with one entry, a Sequence or a Group")
    entry = detection[0]
    if not isinstance(entry, Mapping) or ("Sequence" in entry) == ("Group" in entry):
        raise FieldError("Detection[0]: needs either Sequence or Group")
    for key in ("MatchCriteria", "MinMatchCount") if "Sequence" in entry else ("Transitions",):
        if key in entry:
            other = "Group" if "Sequence" in entry else "Sequence"
            raise FieldError(f"Detection[0].{key}: is only for a {other}; remove it")
    return entry


def _steps(entries: Any, where: str) -> tuple[Step, ...]:
    if not isinstance(entries, list) or not MIN_STEPS <= len(entries) <= MAX_STEPS:
        raise FieldError(f"{where}: needs {MIN_STEPS} to {MAX_STEPS} steps")
    steps = tuple(_step(entry, f"{where}[{i}]") for i, entry in enumerate(entries))
    for i, step in enumerate(steps):
        if step.id in {earlier.id for earlier in steps[:i]}:
            raise FieldError(
                f"{where}[{i}].ID: an earlier step has the ID {step.id}; set another ID"
            )
    if all(step.absent for step in steps):
        raise FieldError(f"{where}: at least one step must not be an Absence")
    return steps


def _step(entry: Any, where: str) -> Step:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("RuleID"), str):
        raise FieldError(f"{where}.RuleID: must be the ID of a rule")
    rule_id = entry["RuleID"]
    step_id = entry.get("ID") or rule_id
    if not isinstance(step_id, str):
        raise FieldError(f"{where}.ID: {step_id!r} is not a name")
    if entry.get("Absence"):
        return Step(step_id, rule_id, min_count=0, max_count=0)
    minimum = _number(entry, "MinMatchCount", where, 1)
    maximum = _optional_number(entry, "MaxMatchCount", where)
    if minimum < 1:
        raise FieldError(
            f"{where}.MinMatchCount: {minimum} is less than 1; for no signals, set Absence: true"
        )
    if maximum is not None and maximum < minimum:
        raise FieldError(f"{where}.MaxMatchCount: {maximum} is less than MinMatchCount {minimum}")
    return Step(step_id, rule_id, minimum, maximum)


def _match_criteria(entries: Any, ids: set[str]) -> tuple[Criterion, ...]:
    where = "Detection[0].MatchCriteria"
    if not isinstance(entries, Mapping):
        raise FieldError(f"{where}: must be a mapping of names to lists of GroupID and Match")
    return tuple(_criterion(parts, f"{where}.{name}", ids) for name, parts in entries.items())


def _criterion(parts: Any, where: str, ids: set[str]) -> Criterion:
    if not isinstance(parts, list) or not parts:
        raise FieldError(f"{where}: must be a list of GroupID and Match")
    fields: dict[str, tuple[str, ...]] = {}
    for i, part in enumerate(parts):
        if not isinstance(part, Mapping) or not part.get("GroupID") or not part.get("Match"):
            raise FieldError(f"{where}[{i}]: needs GroupID and Match")
        step = _known_step(part["GroupID"], ids, f"{where}[{i}].GroupID")
        fields[step] = (*fields.get(step, ()), str(part["Match"]))
    return Criterion(fields)


def _transitions(
    entries: Any, steps: tuple[Step, ...]
) -> tuple[tuple[Transition, ...], tuple[Criterion, ...]]:
    if not isinstance(entries, list):
        raise FieldError("Detection[0].Transitions: must be a list")
    order = {step.id: i for i, step in enumerate(steps)}
    transitions = []
    criteria: list[Criterion] = []
    for i, entry in enumerate(entries):
        where = f"Detection[0].Transitions[{i}]"
        if not isinstance(entry, Mapping):
            raise FieldError(f"{where}: must be a mapping with From and To")
        source = _known_step(entry.get("From"), set(order), f"{where}.From")
        target = _known_step(entry.get("To"), set(order), f"{where}.To")
        if order[source] >= order[target]:
            raise FieldError(f"{where}.To: step {target} is not listed after step {source}")
        within = _optional_number(entry, "WithinTimeFrameMinutes", where)
        if within is not None and within < 1:
            raise FieldError(f"{where}.WithinTimeFrameMinutes: {within} is less than 1 minute")
        transitions.append(Transition(source, target, None if within is None else within * 60))
        if entry.get("Match"):
            fields = _transition_match(entry["Match"], f"{where}.Match")
            criteria.append(Criterion({source: (fields[0],), target: (fields[1],)}))
    return tuple(transitions), tuple(_joined(criteria))


def _transition_match(match: Any, where: str) -> tuple[str, str]:
    if not isinstance(match, list) or len(match) != 1 or not isinstance(match[0], Mapping):
        raise FieldError(f"{where}: must be a list with one entry, On or From and To")
    # YAML 1.1 reads the key On as the boolean true.
    both = match[0].get("On", match[0].get(True))
    source, target = match[0].get("From"), match[0].get("To")
    if both and not source and not target:
        return str(both), str(both)
    if source and target and not both:
        return str(source), str(target)
    raise FieldError(f"{where}[0]: needs either On, or From and To")


def _joined(criteria: list[Criterion]) -> list[Criterion]:
    """Merge criteria that share a step: all their fields must have one value in common."""
    joined: list[dict[str, tuple[str, ...]]] = []
    for criterion in criteria:
        merged = dict(criterion.fields)
        separate = []
        for other in joined:
            if merged.keys() & other.keys():
                merged = {
                    step: tuple(dict.fromkeys((*other.get(step, ()), *merged.get(step, ()))))
                    for step in {**other, **merged}
                }
            else:
                separate.append(other)
        joined = [*separate, merged]
    return [Criterion(fields) for fields in joined]


def _lookback(detection: Mapping[str, Any]) -> int:
    minutes = _number(detection, "LookbackWindowMinutes", "Detection[0]", MIN_LOOKBACK_MINUTES)
    if not MIN_LOOKBACK_MINUTES <= minutes <= MAX_LOOKBACK_MINUTES:
        raise FieldError(
            f"Detection[0].LookbackWindowMinutes: {minutes} is not between "
            f"{MIN_LOOKBACK_MINUTES} and {MAX_LOOKBACK_MINUTES}"
        )
    return minutes


def _group_minimum(detection: Mapping[str, Any], steps: int) -> int:
    minimum = _number(detection, "MinMatchCount", "Detection[0]", steps)
    if not MIN_STEPS <= minimum <= steps:
        raise FieldError(
            f"Detection[0].MinMatchCount: {minimum} is not between {MIN_STEPS} and {steps}, "
            "the number of steps"
        )
    return minimum


def _known_step(name: Any, ids: set[str], where: str) -> str:
    if not isinstance(name, str) or name not in ids:
        raise FieldError(f"{where}: {name!r} is not a step; the steps are {', '.join(sorted(ids))}")
    return name


def _number(entry: Mapping[str, Any], key: str, where: str, default: int) -> int:
    if key not in entry:
        return default
    number = _optional_number(entry, key, where)
    if number is None:
        raise FieldError(f"{where}.{key}: None is not a whole number")
    return number


def _optional_number(entry: Mapping[str, Any], key: str, where: str) -> int | None:
    value = entry.get(key)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise FieldError(f"{where}.{key}: {value!r} is not a whole number")
    return value


def _choice(entry: Mapping[str, Any], key: str, choices: tuple[str, ...], where: str) -> str:
    value = entry.get(key, choices[0])
    if not isinstance(value, str) or value not in choices:
        raise FieldError(f"{where}.{key}: {value!r} is not one of {', '.join(choices)}")
    return value
