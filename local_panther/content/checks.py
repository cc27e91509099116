"""Checks of a repository's items against each other, once all of them are loaded."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from local_panther.content.left_out import LeftOut, Reason
from local_panther.content.model import Content, CorrelationRule
from local_panther.errors import FieldError, Problem


def check_test_names(spec: Mapping[str, Any]) -> None:
    """Check that no two tests of an item have the same name, which an instance refuses.

    panther_analysis_tool accepts them. Source: pull request 232 of pypanther.

    Raises:
        FieldError: Two tests have the same name; the message contains it.
    """
    seen = set()
    for i, test in enumerate(spec.get("Tests") or []):
        name = test.get("Name")
        if name in seen:
            raise FieldError(f"Tests[{i}].Name: two tests are named {name!r}; rename one")
        seen.add(name)


def check_steps(
    content: Content, known_ids: Collection[str], files: Mapping[str, str]
) -> Iterator[tuple[str, Problem]]:
    """Yield the rule ID and a problem for each step with a missing rule or a circular reference.

    Args:
        content: The content with all correlation rules; rules with a problem are removed from it.
        known_ids: IDs of all items of the repository, disabled and invalid ones too.
        files: The file of each correlation rule, by rule ID.
    """
    rules = {rule.metadata.rule_id: rule for rule in content.correlation_rules}
    for rule_id, rule in rules.items():
        for step in rule.logic.steps:
            if step.rule_id not in known_ids:
                wrong = f"rule {step.rule_id} is not in this content"
            elif _leads_to(step.rule_id, rule_id, rules):
                wrong = f"rule {step.rule_id} depends on {rule_id}: a rule cannot need itself"
            else:
                continue
            if rule in content.correlation_rules:
                content.correlation_rules.remove(rule)
            yield rule_id, Problem(files[rule_id], f"Detection: step {step.id}: {wrong}")


def leave_out_idle_rules(content: Content) -> None:
    """Leave out rules that can never match because the queries or rules they need do not run."""
    running = [
        scheduled
        for scheduled in content.scheduled_rules
        if any(name in content.queries for name in scheduled.query_names)
    ]
    for scheduled in content.scheduled_rules:
        if scheduled not in running:
            rule_id = scheduled.rule.metadata.rule_id
            content.left_out.append(LeftOut(rule_id, Reason.NO_QUERY))
    content.scheduled_rules = running
    while idle := [rule for rule in content.correlation_rules if not _can_match(rule, content)]:
        for rule in idle:  # removing it can make a rule idle that has it as a step
            content.correlation_rules.remove(rule)
            content.left_out.append(LeftOut(rule.metadata.rule_id, Reason.NO_STEPS))


def _can_match(rule: CorrelationRule, content: Content) -> bool:
    """Return whether the rules of enough steps run here, and of every Absence step.

    If the rule of an Absence step did not run, its signals would always be absent: a false match.
    """
    running, logic = set(content.rule_ids), rule.logic
    present = [step for step in logic.steps if not step.absent]
    needed = len(present) if logic.ordered else min(logic.min_steps, len(present))
    return sum(step.rule_id in running for step in present) >= needed and all(
        step.rule_id in running for step in logic.steps if step.absent
    )


def _leads_to(start: str, goal: str, rules: Mapping[str, CorrelationRule]) -> bool:
    """Return whether a rule is `goal` or has it among its steps, at any depth."""
    waiting, seen = [start], set[str]()
    while waiting:
        rule_id = waiting.pop()
        if rule_id == goal:
            return True
        if rule_id in rules and rule_id not in seen:
            seen.add(rule_id)
            waiting.extend(step.rule_id for step in rules[rule_id].logic.steps)
    return False
