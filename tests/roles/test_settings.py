"""Every command that reads role calls uses the settings of the replayed repository."""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local_panther.content.saved_queries import saved_queries
from local_panther.errors import ContentError
from local_panther.lake.saved import run_saved
from local_panther.records.trail import Trail
from local_panther.replay import replay
from local_panther.roles.settings import read_settings, shipped_settings
from local_panther.roles.summary import nearest, summarised
from local_panther.simulate.identities import PrincipalKind, identity
from tests.builders.configurations import SETTINGS, change_settings, shipped
from tests.builders.content import write_lines
from tests.builders.events import ALICE, START, assumed, call, denied, role_arn
from tests.builders.replays import FAILED_ATTEMPTS
from tests.conftest import copy_content
from tests.scale import examples

HUNT = "AWS Role Escalation Hunt"
ROLE = "SharedAdmin"


def session(name):
    return identity(PrincipalKind.ROLE, ROLE, name)


@dataclass
class Seen:
    """An observer that records the principals of bursts that the streaming rule matched."""

    principals: set[str] = field(default_factory=set)

    def signal(self, signal):
        if signal.metadata.rule_id == FAILED_ATTEMPTS:
            self.principals.add(signal.context["principal"])

    def record(self, record, arrived): ...

    def match(self, match): ...

    def joined(self, alert, found): ...


def answers(content, records):
    """Return the answers of a replay, of the hunt in SQL and of the summary for some records."""
    with tempfile.TemporaryDirectory() as folder:
        trail = Path(folder) / "trail.jsonl"
        numbered = [record | {"eventID": str(i)} for i, record in enumerate(records)]
        write_lines(trail, numbered)
        seen = Seen()
        outcome = replay(Trail([str(trail)]), content, observer=seen)
        assert outcome.complete
        rows = run_saved(saved_queries(content)[HUNT], Trail([str(trail)]), {}).rows
        found = summarised(Trail([str(trail)]), read_settings(content)).principals
    return outcome, seen.principals, {row["principal"] for row in rows}, found


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    """A copy of the content without queries that the tests do not run.

    After a change of settings, each query is translated again.
    """
    copy = copy_content(tmp_path_factory.mktemp("settings") / "content")
    shipped(copy)
    for file in (copy / "queries").iterdir():
        if not any(name in file.name for name in ("macros", "hunt_query", "succeeded")):
            file.unlink()
    return copy


WHO = st.sampled_from([ALICE, session("alice"), session("bob"), session("carol")])
EXPECTED = [[], [ALICE["arn"]], [f"*/{ROLE}"], [f"*:assumed-role/{ROLE}/b?b"]]


@st.composite
def streams(draw, most):
    """Draw records of callers that list roles, fail on several and get into one, at any time."""
    records = []
    for _ in range(draw(st.integers(1, 4))):
        who, start = draw(WHO), START + draw(st.integers(0, 3)) * 1800
        records += [call("ListRoles", who, start - 60)] * draw(st.integers(0, 1))
        step = draw(st.sampled_from([1, 60, 400]))
        first = draw(st.sampled_from([0, 50]))
        names = [f"R{first + i}" for i in range(draw(st.integers(1, most)))]
        records += [denied(role_arn(n), who, start + i * step) for i, n in enumerate(names)]
        if draw(st.booleans()):
            records.append(assumed(role_arn(f"In{draw(st.integers(0, 2))}"), who, start + 600))
    return sorted(records, key=lambda record: record["eventTime"])


@pytest.mark.long
@settings(max_examples=examples(4, 150), suppress_health_check=list(HealthCheck))
@given(
    threshold=st.integers(2, 6),
    window=st.sampled_from([5, 30, 60, 240]),
    prefixes=st.sampled_from([[], ["Shared"], ["Other"]]),
    collapse=st.booleans(),
    expected=st.sampled_from(EXPECTED),
    data=st.data(),
)
def test_rule_sql_summary_nearest_and_verdict_agree(
    content, threshold, window, prefixes, collapse, expected, data
):
    change_settings(
        content,
        THRESHOLD=threshold,
        WINDOW_MINUTES=window,
        PERSON_ROLE_PREFIXES=prefixes,
        COLLAPSE_SESSIONS=collapse,
        EXPECTED_PRINCIPALS=expected,
    )
    for records in data.draw(st.lists(streams(threshold + 2), min_size=4, max_size=4)):
        assert_answers_agree(content, records)


def assert_answers_agree(content, records):
    """Assert that the rule, the hunt, the summary, "Nearest" and the incidents agree."""
    outcome, by_rule, by_hunt, summaries = answers(content, records)
    by_name = {summary.principal: summary for summary in summaries}
    bursts = {name for name, summary in by_name.items() if summary.is_burst}
    expected_ones = {name for name, summary in by_name.items() if summary.is_expected}
    assert by_hunt == bursts
    assert by_rule == bursts - expected_ones
    ranked = nearest(outcome.role_log, 99)
    assert {one.principal for one in ranked if one.is_burst and not one.is_expected} == by_rule
    assert {incident.principal for incident in outcome.incidents} <= by_name.keys()
    for incident in outcome.incidents:
        own = by_name[incident.principal]
        assert {success.role for success in incident.roles.entered} <= own.entered
        assert set(incident.roles.tried) <= own.tried
        if not incident.entered:
            assert incident.sentence.startswith("DENIED AssumeRole on")


@pytest.mark.long
def test_sessions_of_a_shared_role_are_distinguished_by_every_command(content):
    shipped(content)
    change_settings(content, PERSON_ROLE_PREFIXES=[ROLE], COLLAPSE_SESSIONS=True)
    alice, bob = session("alice"), session("bob")
    records = [call("ListRoles", alice, START - 60)]
    records += [denied(role_arn(f"Role{i:02}"), alice, START + i * 20) for i in range(12)]
    records += [assumed(role_arn(f"BobJob{i}"), bob, START + 600 + i * 10) for i in range(5)]
    outcome, by_rule, by_hunt, summaries = answers(content, records)
    assert by_rule == by_hunt == {alice["arn"]}
    counts = {one.principal: (len(one.failed), len(one.entered)) for one in summaries}
    assert counts == {alice["arn"]: (12, 0), bob["arn"]: (0, 5)}
    (incident,) = outcome.incidents
    assert incident.sentence.startswith("DENIED AssumeRole on all 12 roles: SharedAdmin/alice")


class TestReading:
    def test_a_repository_without_the_file_has_the_shipped_settings(self, tmp_path):
        assert read_settings(tmp_path) == shipped_settings()

    def test_a_setting_that_the_file_lacks_has_the_shipped_value(self, tmp_path):
        self.written(tmp_path, "THRESHOLD = 4\n")
        found = read_settings(tmp_path)
        assert found.threshold == 4 and found.window_minutes == shipped_settings().window_minutes

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("THRESHOLD = '10'", "THRESHOLD must be a whole number above 0, not '10'"),
            ("THRESHOLD = True", "THRESHOLD must be a whole number above 0, not True"),
            ("WINDOW_MINUTES = 0", "WINDOW_MINUTES must be a whole number above 0, not 0"),
            ("PERSON_ROLE_PREFIXES = 'Okta'", "PERSON_ROLE_PREFIXES must be a list of texts"),
            ("EXPECTED_PRINCIPALS = [1]", "EXPECTED_PRINCIPALS must be a list of texts, not [1]"),
            ("COLLAPSE_SESSIONS = 1", "COLLAPSE_SESSIONS must be True or False, not 1"),
        ],
    )
    def test_a_setting_of_another_type_is_refused_with_its_line(self, tmp_path, line, message):
        self.written(tmp_path, f"# settings\n{line}\n")
        with pytest.raises(ContentError) as error:
            read_settings(tmp_path)
        (problem,) = error.value.problems
        assert problem.where == f"{SETTINGS}:2" and message in problem.message

    def test_a_file_that_does_not_run_is_named(self, tmp_path):
        self.written(tmp_path, "THRESHOLD = ten\n")
        with pytest.raises(ContentError) as error:
            read_settings(tmp_path)
        (problem,) = error.value.problems
        assert problem.where == SETTINGS and "name 'ten' is not defined" in problem.message

    def written(self, folder, text):
        path = folder / SETTINGS
        path.parent.mkdir(parents=True)
        path.write_text(text)
