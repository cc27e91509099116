"""Places that follow a setting agree with it after any change."""

import json
import re

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local_panther.content.agreements import Settings, check_agreements
from local_panther.content.following import Repository
from tests.scale import examples

MACROS = "queries/aws_role_macros.yml"


def values(folder):
    found = Settings(folder)
    return lambda name: found.value("aws_role_escalation_config", name)


names = st.text("abcXYZ019+=,.@-_'\"", min_size=1, max_size=9)


@settings(max_examples=examples(40, 600), suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_all_places_agree_after_any_valid_values_and_a_disagreement_is_found(data, content_copy):
    drawn = {
        "THRESHOLD": data.draw(st.integers(1, 500)),
        "WINDOW_MINUTES": data.draw(st.integers(1, 20_000)),
        "COLLAPSE_SESSIONS": data.draw(st.booleans()),
        "PERSON_ROLE_PREFIXES": data.draw(st.lists(names, max_size=4)),
        "EXPECTED_PRINCIPALS": data.draw(st.lists(names, max_size=4)),
        "FEW_NAMES": data.draw(st.integers(1, 20)),
    }
    chosen = data.draw(st.lists(st.sampled_from(list(drawn)), unique=True, min_size=1))
    asked = [f"{name}={json.dumps(drawn[name])}" for name in chosen]
    for path, text in Repository(content_copy).changed(asked).items():
        (content_copy / path).write_text(text)
    value = values(content_copy)
    assert {name: value(name) for name in chosen} == {name: drawn[name] for name in chosen}
    assert check_agreements(content_copy) == [] and Repository(content_copy).fixed() == {}
    assert Repository(content_copy).changed(asked) == {}

    followers = [
        (path, i)
        for path in [content_copy / MACROS, *content_copy.glob("correlation_rules/*.yml")]
        for i, line in enumerate(path.read_text().splitlines())
        if "must equal" in line and re.search(r"\d+ (AS|#)", line)
    ]
    path, i = data.draw(st.sampled_from(followers))
    before = path.read_text()
    lines = before.splitlines(keepends=True)
    lines[i] = re.sub(r"\d+", lambda found: str(int(found[0]) + 1), lines[i], count=1)
    path.write_text("".join(lines))
    (problem,) = check_agreements(content_copy)
    assert problem.where == f"{path.relative_to(content_copy)}:{i + 1}"
    assert Repository(content_copy).fixed() == {path.relative_to(content_copy).as_posix(): before}
    path.write_text(before)
