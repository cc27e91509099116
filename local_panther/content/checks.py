"""Checks of a repository's items against each other, once all of them are loaded."""

from collections.abc import Collection, Iterator, Mapping

from local_panther.content.model import Content, CorrelationRule
from local_panther.errors import Problem


def check_steps(
    content: Content, known_ids: Collection[str], files: Mapping[str, str]
) -> Iterator[Problem]:
    """Yield a problem for each step of a correlation rule that no signal can ever reach.

    Args:
        content: With all correlation rules loaded.
        known_ids: IDs of all items of the repository, disabled ones too.
        files: The file of each correlation rule, by rule ID.
    """
    rules = {rule.metadata.rule_id: rule for rule in content.correlation_rules}
    for rule_id, rule in rules.items():
        for step in rule.logic.steps:
            if step.rule_id not in known_ids:
                wrong = f"rule {step.rule_id} is not in this content"
            elif _leads_to(step.rule_id, rule_id, rules):
                wrong = f"rule {step.rule_id} leads back to {rule_id}"
            else:
                continue
            yield Problem(files[rule_id], f"Detection: step {step.id}: {wrong}")


def set_idle_rules_aside(content: Content) -> None:
    """Move scheduled rules that never get a row to `not_replayed`: none of their queries runs."""
    running = [
        scheduled
        for scheduled in content.scheduled_rules
        if any(name in content.queries for name in scheduled.query_names)
    ]
    idle = [scheduled for scheduled in content.scheduled_rules if scheduled not in running]
    content.scheduled_rules = running
    content.not_replayed += [scheduled.rule.metadata.rule_id for scheduled in idle]


def _leads_to(start: str, goal: str, rules: Mapping[str, CorrelationRule]) -> bool:
    """Return whether a rule is another one, or has it among its steps' steps."""
    waiting, seen = [start], set[str]()
    while waiting:
        rule_id = waiting.pop()
        if rule_id == goal:
            return True
        if rule_id in rules and rule_id not in seen:
            seen.add(rule_id)
            waiting.extend(step.rule_id for step in rules[rule_id].logic.steps)
    return False
