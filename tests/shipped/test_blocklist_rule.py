"""The blocklist: one list, in the YAML, with the same effect offline and on an instance."""

import copy
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import sidecar_filter_helpers
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from panther_analysis_tool.analysis_utils import load_analysis_specs
from panther_core.filter import Filter

from local_panther.content import filters
from local_panther.simulate.identities import ACCOUNT, PrincipalKind, identity, service
from tests.builders.configurations import EXACT, change_blocklist, include_people, shipped
from tests.builders.content import write_lines
from tests.builders.events import ALICE, START, call, denied, event, role_arn, user
from tests.builders.replays import replayed
from tests.builders.rules import BLOCKLIST, RULES, from_body, in_place, matches, spec_of

ADMIN = role_arn("FullAdminRole")


def assumed(arn, who=ALICE, **fields):
    parameters = {"roleArn": arn, "roleSessionName": "x"}
    return event(call("AssumeRole", who, **{"requestParameters": parameters, **fields}))


@pytest.fixture(params=["in place", "from body"])
def load(request, tmp_path):
    """Return a loader of the rule with a given blocklist, in place or from the body alone."""

    def load(*conditions):
        conditions = conditions or (role_filter("IsIn", [ADMIN]),)
        folder = tmp_path / "edited"
        folder.mkdir(exist_ok=True)
        shutil.copy(RULES / f"{BLOCKLIST}.py", folder)
        spec = spec_of(BLOCKLIST)
        spec["InlineFilters"] = [spec["InlineFilters"][0], *conditions]
        (folder / f"{BLOCKLIST}.yml").write_text(yaml.safe_dump(spec))
        if request.param == "in place":
            return in_place(BLOCKLIST, folder)
        return from_body(BLOCKLIST, tmp_path, folder)

    return load


def role_filter(condition, value):
    key = "Values" if isinstance(value, list) else "Value"
    return {"KeyPath": "requestParameters.roleArn", "Condition": condition, key: value}


class TestMatches:
    def test_people_who_assume_a_blocklisted_role_match(self, load):
        rule = load()
        for kind in (PrincipalKind.USER, PrincipalKind.FEDERATED):
            assert matches(rule, assumed(ADMIN, identity(kind, "carol", "")))

    @pytest.mark.parametrize(
        "record",
        [
            assumed(role_arn("ReadOnlyRole")),
            assumed(role_arn("FullAdminRoleForAudit")),
            assumed(ADMIN, eventName="AssumeRoleWithSAML"),
            assumed(ADMIN, identity(PrincipalKind.ROLE, "Deploy", "s")),
            assumed(ADMIN, identity(PrincipalKind.ROOT, "root", "")),
            assumed(ADMIN, service("lambda.amazonaws.com")),
            assumed(ADMIN, errorCode="ExpiredToken"),
            assumed(ADMIN, errorMessage="an error without a code"),
            assumed(ADMIN, eventName="PassRole"),
            assumed(ADMIN, requestParameters=None),
            assumed(None),
            assumed([ADMIN]),
            assumed(""),
            assumed(ADMIN, {"type": ["IAMUser"]}),
            assumed(ADMIN, "alice"),
            event({k: v for k, v in assumed(ADMIN).to_dict().items() if k != "userIdentity"}),
            event(denied(ADMIN)),
            event({}),
        ],
    )
    def test_nothing_else_matches(self, load, record):
        assert not matches(load(), record)

    def test_a_type_that_is_not_text_is_nobody(self, load, monkeypatch):
        rule = load()
        monkeypatch.setattr(rule.module, "PERSON_TYPES", {"IAMUser"})
        assert not matches(rule, assumed(ADMIN, ALICE | {"type": ["IAMUser"]}))

    @pytest.mark.parametrize(
        "condition, value, hit, miss",
        [
            ("IsIn", [role_arn("A"), role_arn("B")], role_arn("B"), ADMIN),
            ("Equals", role_arn("A"), role_arn("A"), role_arn("AB")),
            ("StartsWith", role_arn("prod-"), role_arn("prod-x"), role_arn("dev-x")),
            ("EndsWith", "/Admin", role_arn("x/Admin"), role_arn("Admin2")),
            ("Contains", "break-glass", role_arn("break-glass/x"), ADMIN),
            ("IContains", "ADMIN", role_arn("superadmin"), role_arn("Reader")),
            ("DoesNotContain", "Reader", ADMIN, role_arn("Reader")),
        ],
    )
    def test_an_edited_blocklist_decides_what_matches(self, load, condition, value, hit, miss):
        rule = load(role_filter(condition, value))
        assert matches(rule, assumed(hit))
        assert not matches(rule, assumed(miss))

    def test_any_of_several_conditions_is_enough(self, load):
        either = [role_filter("Equals", ADMIN), role_filter("EndsWith", "Audit")]
        rule = load({"Any": either})
        assert matches(rule, assumed(ADMIN))
        assert matches(rule, assumed(role_arn("NightAudit")))
        assert not matches(rule, assumed(role_arn("Other")))


SAML = {"type": "SAMLUser", "userName": "erin@example.com", "principalId": "x:erin@example.com"}
WEB = {"type": "WebIdentityUser", "userName": "1234", "identityProvider": "accounts.google.com"}
OTHER = {"type": "AWSAccount", "principalId": "AIDAEXAMPLEFRANK00001", "accountId": "111122223333"}
CENTER = identity(PrincipalKind.SSO, "dana@example.com", "")
OPT_INS = {
    "IdentityCenterSession": (CENTER, "AssumeRole", "dana@example.com"),
    "SAMLUser": (SAML, "AssumeRoleWithSAML", "erin@example.com"),
    "WebIdentityUser": (WEB, "AssumeRoleWithWebIdentity", "1234"),
    "OtherAccountUser": (OTHER, "AssumeRole", "AIDAEXAMPLEFRANK00001"),
}


class TestOptIns:
    """Further kinds of people, commented out under PERSON_TYPES; the blocklist stays the same."""

    @pytest.mark.parametrize("kind", OPT_INS)
    def test_further_people_match_only_if_included(self, load, kind, monkeypatch):
        rule, (who, name, person) = load(), OPT_INS[kind]
        record = assumed(ADMIN, who, eventName=name)
        others = tuple({"IAMUser", "FederatedUser", *OPT_INS} - {kind})
        monkeypatch.setattr(rule.module, "PERSON_TYPES", others)
        assert not matches(rule, record)
        monkeypatch.setattr(rule.module, "PERSON_TYPES", ("IAMUser", "FederatedUser", kind))
        assert matches(rule, record)
        assert not matches(rule, assumed(role_arn("ReadOnlyRole"), who, eventName=name))
        assert not matches(rule, assumed(ADMIN, who, eventName=name, errorCode="AccessDenied"))
        assert rule.module.title(record).startswith(f"[{person}")
        assert rule.module.alert_context(record)["principal"]

    @pytest.mark.parametrize("kind", OPT_INS)
    def test_further_people_are_commented_out_and_explained_in_the_file(self, kind):
        text = (RULES / f"{BLOCKLIST}.py").read_text()
        assert re.search(rf'"{kind}",  # .{{10}}', text)

    @pytest.mark.parametrize(
        "kind, who",
        [
            ("IdentityCenterSession", identity(PrincipalKind.ROLE, "AWSReservedSSO_x", "dana")),
            ("OtherAccountUser", OTHER | {"principalId": "AROAEXAMPLEOTHER00001:deploy"}),
            ("OtherAccountUser", OTHER | {"principalId": None}),
        ],
    )
    def test_callers_that_only_look_like_people_do_not_match(self, load, kind, who, monkeypatch):
        rule = load()
        monkeypatch.setattr(rule.module, "PERSON_TYPES", (kind,))
        assert not matches(rule, assumed(ADMIN, who))

    def test_a_person_who_assumes_a_role_with_another_call_does_not_match(self, load, monkeypatch):
        rule = load()
        monkeypatch.setattr(rule.module, "PERSON_TYPES", ("SAMLUser",))
        assert not matches(rule, assumed(ADMIN, SAML))


BOB = user("bob")
ROLE_ACCOUNT = "111122223333"
ROLE = role_arn("FullAdminRole", ROLE_ACCOUNT)
NIGHT = role_arn("FullAdminNight", ROLE_ACCOUNT)


def copies(number, who=ALICE, role=ROLE):
    """Return the two records of a user's call to another account, one from each account."""
    time, shared = START + 60 * number, {"sharedEventID": f"shared-{number}"}
    parameters = {"roleArn": role, "roleSessionName": "x"}
    own = call("AssumeRole", who, time, requestParameters=parameters, **shared)
    copied = {key: who[key] for key in ("principalId", "accountId")} | {"type": "AWSAccount"}
    other = own | {"userIdentity": copied, "recipientAccountId": ROLE_ACCOUNT}
    return own | {"eventID": f"own-{number}"}, other | {"eventID": f"other-{number}"}


# Alice assumes one role twice and another role once; Bob assumes the first role.
CROSS_ACCOUNT = [
    *copies(1),
    *copies(2),
    *copies(3, role=NIGHT),
    *copies(4, BOB),
]
TITLES = {
    f"[{name}] assumed the blocklisted role [{role}] in [{ROLE_ACCOUNT}]"
    for who, role in ((ALICE, "FullAdminRole"), (ALICE, "FullAdminNight"), (BOB, "FullAdminRole"))
    for name in (who["userName"], f"{who['principalId']} of account {ACCOUNT}")
}


@pytest.fixture
def with_other_accounts(content_copy):
    """Return a copy of the content whose enabled blocklist includes users of other accounts."""
    shipped(content_copy)
    contains = (
        EXACT.partition("    Condition")[0] + "    Condition: Contains\n    Value: FullAdmin\n"
    )
    change_blocklist(content_copy, contains, enabled=True)
    include_people(content_copy, "OtherAccountUser")
    return content_copy


class TestCopiesOfOneCall:
    """A call to another account, which both accounts record; both records are of a person."""

    @given(records=st.permutations(CROSS_ACCOUNT))
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_copies_have_one_dedup_for_a_person_and_role_in_any_order(
        self, with_other_accounts, records
    ):
        folder = with_other_accounts / "rules" / "aws_cloudtrail_rules"
        rule = in_place(BLOCKLIST, folder)
        results = [rule.run(event(record), {}, {}) for record in records]
        assert all(result.trigger_alert and result.dedup_output for result in results)
        assert sorted(Counter(result.dedup_output for result in results).values()) == [2, 2, 4]
        assert {result.title_output for result in results} == TITLES

    @given(records=st.permutations(CROSS_ACCOUNT))
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=12)
    def test_copies_are_one_alert_of_a_replay_in_any_order(self, with_other_accounts, records):
        trail = with_other_accounts.parent / "trail.jsonl"
        write_lines(trail, records)
        outcome = replayed(trail, content=with_other_accounts)
        assert outcome.complete
        assert sorted(alert.event_count for alert in outcome.alerts) == [2, 2, 4]
        assert {alert.title for alert in outcome.alerts} < TITLES

    @pytest.mark.parametrize("copy_of", [0, 1])
    def test_a_single_copy_is_an_alert(self, with_other_accounts, copy_of):
        trail = with_other_accounts.parent / "trail.jsonl"
        trail.write_text(json.dumps(copies(1)[copy_of]))
        assert len(replayed(trail, content=with_other_accounts).alerts) == 1


class TestPersonTypes:
    """The setting PERSON_TYPES; an unknown type is an error, because it would match nobody."""

    @staticmethod
    def edited(content, person_types):
        shipped(content)
        change_blocklist(content, EXACT, enabled=True)
        body = content / "rules" / "aws_cloudtrail_rules" / f"{BLOCKLIST}.py"
        text = re.sub(r"(?s)PERSON_TYPES = \(.*?\n\)\n", f"{person_types}\n", body.read_text())
        assert person_types in text
        body.write_text(text)
        return body.parent

    @pytest.mark.parametrize(
        "person_types, error",
        [
            (
                'PERSON_TYPES = ("IAMuser", "FederatedUser")',
                "unknown 'IAMuser'; known are IAMUser, ",
            ),
            ('PERSON_TYPES = ["IAMUser" "FederatedUser"]', "unknown 'IAMUserFederatedUser'"),
            ('PERSON_TYPES = ("SAML", "IAMUser", None)', "unknown 'SAML', None; known"),
            ('PERSON_TYPES = ("AssumedRole",)', "known are .*IdentityCenterSession.*SAMLUser"),
            ('PERSON_TYPES = ("IAMUser")', "is 'IAMUser'; write it as "),
            ("PERSON_TYPES = ()", r"is \(\); write it as"),
            ("PERSON_TYPES = None", "is None; write it as"),
        ],
    )
    def test_unknown_person_types_are_named_when_the_rule_is_loaded(
        self, content_copy, person_types, error
    ):
        folder = self.edited(content_copy, person_types)
        with pytest.raises(ValueError, match=f"PERSON_TYPES.*{error}"):
            in_place(BLOCKLIST, folder)

    @pytest.mark.parametrize(
        "person_types", ['PERSON_TYPES = {"SAMLUser"}', f"PERSON_TYPES = {[*OPT_INS, 'IAMUser']}"]
    )
    def test_known_person_types_load_in_any_number_and_form(self, content_copy, person_types):
        in_place(BLOCKLIST, self.edited(content_copy, person_types))

    @pytest.mark.process
    @pytest.mark.parametrize(
        "command",
        [
            ["panther_analysis_tool", "test"],
            ["local-panther", "test"],
            ["local-panther", "replay", "trail.jsonl"],
        ],
    )
    def test_misspelt_person_types_are_named_by_each_command(self, content_copy, command):
        self.edited(content_copy, 'PERSON_TYPES = ("IAMuser", "FederatedUser")')
        (content_copy / "trail.jsonl").write_text(json.dumps(call("ListRoles")))
        tool = Path(sys.executable).parent / command[0]
        done = subprocess.run(
            [tool, *command[1:]],
            cwd=content_copy,
            capture_output=True,
            text=True,
            env={"PATH": "/usr/bin:/bin", "COLUMNS": "400"},
        )
        shown = done.stdout + done.stderr
        assert done.returncode == 1, shown
        assert "PERSON_TYPES: unknown 'IAMuser'; known are IAMUser, FederatedUser" in shown
        assert BLOCKLIST in shown or "IAMAssumeRoleBlacklistIgnored" in shown


class TestAlert:
    def test_the_title_names_the_person_and_the_role(self):
        module = in_place(BLOCKLIST).module
        title = "[alice] assumed the blocklisted role [FullAdminRole] in [123456789012]"
        assert module.title(assumed(ADMIN)) == title
        carol = identity(PrincipalKind.FEDERATED, "carol", "")
        assert module.title(assumed(ADMIN, carol)).startswith("[carol] ")

    def test_dedup_groups_one_persons_use_of_one_role(self):
        dedup = in_place(BLOCKLIST).module.dedup
        again = assumed(ADMIN, eventID="another", sourceIPAddress="192.0.2.1")
        bob = user("bob")
        assert dedup(assumed(ADMIN)) == dedup(again)
        assert len({dedup(r) for r in (again, assumed(ADMIN, bob), assumed(role_arn("B")))}) == 3

    def test_the_context_has_the_fields_that_soc_teams_know(self):
        context = in_place(BLOCKLIST).module.alert_context(assumed(ADMIN))
        assert context["userIdentity"]["userName"] == context["person"] == "alice"
        assert context["roleArn"] == ADMIN
        assert {"eventName", "eventSource", "awsRegion", "recipientAccountId"} < context.keys()
        assert {"sourceIPAddress", "userAgent"} < context.keys()

    def test_the_context_has_the_parameters_of_the_saved_queries(self):
        issued = {"credentials": {"accessKeyId": "ASIAEXAMPLE0NEW00001"}}
        who = copy.deepcopy(CENTER)
        who["sessionContext"]["sourceIdentity"] = "dana"
        record = assumed(ADMIN, who, eventID="e-1", responseElements=issued)
        context = in_place(BLOCKLIST).module.alert_context(record)
        assert context["eventID"] == "e-1" and context["eventTime"] == "2026-01-05T10:00:00Z"
        assert context["issuedAccessKeyId"] == "ASIAEXAMPLE0NEW00001"
        assert context["roleSessionName"] == "x" and context["sessionName"] == "dana@example.com"
        assert context["sourceIdentity"] == "dana" and context["mfaAuthenticated"] == "false"
        assert context["recipientAccountId"] == "123456789012"
        assert context["awsRegion"] == "us-east-1"

    @pytest.mark.parametrize("record", [{}, {"userIdentity": 3}, {"requestParameters": []}])
    def test_no_function_of_the_rule_raises(self, record):
        module = in_place(BLOCKLIST).module
        for function in (module.rule, module.title, module.dedup, module.alert_context):
            function(event(record))


class TestOfflineReading:
    """Filters that `sidecar_filter_helpers` applies offline, compared with panther_core's."""

    def test_the_helper_and_local_panther_know_the_same_conditions(self):
        assert sidecar_filter_helpers.OPERATORS == filters.OPERATORS
        assert sidecar_filter_helpers.COMBINATORS == filters.COMBINATORS

    @staticmethod
    def conditions():
        text = st.sampled_from(["a", "A", "aa", "b", "", "role/a", "10.0.0.0/8"])
        path = st.sampled_from(["eventName", "requestParameters.roleArn", "userIdentity.arn"])
        lists = st.sampled_from(["IsIn", "IsNotIn"])
        ones = st.sampled_from(sorted(set(filters.OPERATORS) - {"IsIn", "IsNotIn"}))
        single = st.fixed_dictionaries({"KeyPath": path, "Condition": ones, "Value": text})
        many = st.fixed_dictionaries(
            {"KeyPath": path, "Condition": lists, "Values": st.lists(text, min_size=1, max_size=3)}
        )
        return st.recursive(
            single | many,
            lambda inner: (
                st.fixed_dictionaries({"Any": st.lists(inner, min_size=1, max_size=3)})
                | st.fixed_dictionaries({"All": st.lists(inner, min_size=1, max_size=3)})
            ),
            max_leaves=5,
        )

    @staticmethod
    def events():
        value = st.sampled_from(["a", "A", "aa", "b", "role/a", "10.1.2.3", "", None, 1, ["a"]])
        nested = st.none() | st.just("text") | st.fixed_dictionaries({"roleArn": value})
        return st.fixed_dictionaries(
            {"eventName": value, "requestParameters": nested},
            optional={"userIdentity": st.fixed_dictionaries({"arn": value})},
        )

    @given(st.data())
    def test_the_helper_agrees_with_the_platform_on_every_condition(self, data):
        conditions = data.draw(st.lists(self.conditions(), min_size=1, max_size=3))
        record = event(data.draw(self.events()))
        platform = Filter(filters.transpile_filters(conditions)["statement"])
        passes = sidecar_filter_helpers._predicate(conditions)
        try:
            expected = platform.filter(record)
        except Exception as error:
            with pytest.raises(type(error), match=re.escape(str(error))):
                passes(record)
        else:
            assert passes(record) == expected

    def test_the_helper_reads_values_as_panther_analysis_tool_does(self, tmp_path):
        written = "yes no on true False 2026-01-05 2026-01-05T10:00:00Z 012345670123 0x1f 1_000"
        written += " 012345678901 1:30 1.5 1e3 null ~ text -7 +7 0b11"
        lines = "".join(f"\n      - {value}" for value in written.split())
        condition = f"- KeyPath: a\n    Condition: IsIn\n    Values:{lines}"
        text = f"AnalysisType: rule\nFilename: rule.py\nInlineFilters:\n  {condition}\n"
        (tmp_path / "rule.yml").write_text(text)
        ((_, _, spec, _),) = load_analysis_specs([str(tmp_path)], ignore_files=[])
        found = sidecar_filter_helpers._read(tmp_path / "rule.yml", "rule.py")
        assert list(map(repr, found[0]["Values"])) == list(
            map(repr, spec["InlineFilters"][0]["Values"])
        )

    def test_every_event_passes_without_a_sidecar_beside_the_rule(self, tmp_path):
        passes = sidecar_filter_helpers.offline_filters(str(tmp_path / "rule.py"))
        assert passes(event({}))

    @pytest.mark.parametrize("suffix", ["yml", "yaml"])
    def test_a_sidecar_is_read_with_either_suffix(self, tmp_path, suffix):
        own = {"Filename": "rule.py", "InlineFilters": [role_filter("Equals", "Rôle")]}
        text = yaml.safe_dump(own, allow_unicode=True)
        (tmp_path / f"rule.{suffix}").write_text(text, encoding="utf-8")
        passes = sidecar_filter_helpers.offline_filters(str(tmp_path / "rule.py"))
        assert passes(event({"requestParameters": {"roleArn": "Rôle"}})) and not passes(event({}))

    def test_the_yaml_file_of_another_rule_is_ignored(self, tmp_path):
        other = {"Filename": "other.py", "InlineFilters": [role_filter("Equals", "never")]}
        (tmp_path / "rule.yml").write_text(yaml.safe_dump(other))
        assert sidecar_filter_helpers.offline_filters(str(tmp_path / "rule.py"))(event({}))

    def test_an_unknown_condition_is_named(self, tmp_path):
        own = {"Filename": "rule.py", "InlineFilters": [role_filter("Resembles", "x")]}
        (tmp_path / "rule.yml").write_text(yaml.safe_dump(own))
        with pytest.raises(ValueError, match="Resembles"):
            sidecar_filter_helpers.offline_filters(str(tmp_path / "rule.py"))

    @pytest.mark.parametrize("condition", ["IsIn", "IsNotIn"])
    @pytest.mark.parametrize("values", [{"Values": ADMIN}, {"Value": ADMIN}, {}])
    def test_a_list_condition_without_a_list_is_refused(self, tmp_path, condition, values):
        """With a text in place of a list, `in` would match parts of a role's name."""
        path = "requestParameters.roleArn"
        own = {"InlineFilters": [{"KeyPath": path, "Condition": condition, **values}]}
        (tmp_path / "rule.yml").write_text(yaml.safe_dump({"Filename": "rule.py", **own}))
        with pytest.raises(ValueError, match="needs a list under Values"):
            sidecar_filter_helpers.offline_filters(str(tmp_path / "rule.py"))

    def test_the_helper_needs_nothing_that_an_instance_lacks(self):
        """Only the offline branch imports yaml."""
        imports = (RULES.parent.parent / "global_helpers" / "sidecar_filter_helpers.py").read_text()
        top = [line for line in imports.splitlines() if line.startswith(("import", "from"))]
        assert not any("yaml" in line or "panther_core" in line for line in top)
        assert Path(sidecar_filter_helpers.__file__).name == "sidecar_filter_helpers.py"
