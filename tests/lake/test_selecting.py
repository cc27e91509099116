"""Tests that records and columns which a query does not read cannot change its answer.

The expected answer comes from a lake with all records and all columns, read without a selection.
"""

import gzip
import json
from contextlib import ExitStack
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local_panther.content.saved_queries import SavedQuery
from local_panther.content.sql import parse_sql, scanned_event_names
from local_panther.content.sql_text import QueryTexts
from local_panther.lake.dialect import transpile_sql, transpiled
from local_panther.lake.lake import Lake
from local_panther.lake.saved import run_saved
from local_panther.lake.selecting import LOG_COLUMNS, needed_columns, selection_of
from local_panther.records.model import Tally
from local_panther.records.reader import Reader
from local_panther.records.selection import Selection, Sieve, Trait
from local_panther.records.trail import Trail
from local_panther.times import ALWAYS, Period
from tests.builders.events import ALICE, START, call
from tests.builders.queries import query_specs
from tests.conftest import RECORDED, recorded_files
from tests.scale import examples

LOG = "panther_logs.public.aws_cloudtrail"
SPECS = query_specs()

# Strings that JSON can write in several ways, that depend on case, or look like numbers or JSON
TEXTS = (
    *("alice", "Alice", "ALICE", "alice/bob", "al", "bob", "198.51.100.23", "12345", "1e5", "1.0"),
    *("100000.0", "true", "null", "", "a?b", "a\x00b", 'say "hi"', "back\\slash", "new\nline"),
    *("naïve", "Straße", "İstanbul", "\u212aelvin", "kelvin", "ſ", "s", "50%", "a_b", "{}", "[1]"),
    *('{"a":1}', ":1", "2001:db8::1", "arn:aws:iam::123456789012:user/alice", "tag:value"),
    "arn:aws:sts::123456789012:assumed-role/Admin/alice",
)
text = st.sampled_from(TEXTS)
value = text | st.sampled_from([None, 5, 12345, 1e5, 1.0, 1.5e300, True, ["alice"], {"a": 1.0}])
identity = st.fixed_dictionaries(
    {},
    optional={
        "arn": value,
        "userName": value,
        "principalId": text,
        "sessionContext": st.fixed_dictionaries(
            {}, optional={"sessionIssuer": st.fixed_dictionaries({"userName": value})}
        ),
    },
)
request = st.dictionaries(st.sampled_from(["roleName", "tags", "a/b"]), value | st.lists(value))
fields = st.fixed_dictionaries(
    {},
    optional={
        "sourceIPAddress": value,
        "userAgent": value,
        "errorCode": value,
        "userIdentity": identity | st.none() | text,
        "requestParameters": request | st.none() | text,
        "resources": st.lists(st.fixed_dictionaries({"ARN": value})),
        "eventSource": st.sampled_from(["iam.amazonaws.com", "aws:s3", "evil.example"]),
        "eventType": st.sampled_from(["AwsApiCall", "AwsCloudTrailInsight", None]),
        "eventTime": st.sampled_from(["2026-01-05T11:30:00Z", "2026-01-05 11:30:00", "never", 5]),
    },
)


def escaped(record):
    """Write JSON with every character of every text escaped."""

    def write(item):
        if isinstance(item, str):
            units = item.encode("utf-16-be")
            return (
                '"' + "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2)) + '"'
            )
        if isinstance(item, dict):
            return "{" + ",".join(f"{write(key)} : {write(v)}" for key, v in item.items()) + "}"
        return f"[{','.join(map(write, item))}]" if isinstance(item, list) else json.dumps(item)

    return write(record)


def in_two_places(record):
    """Write a record in which userAgent appears twice."""
    return json.dumps(record)[:-1] + ', "userAgent": "alice"}'


WAYS = {
    "lines": json.dumps,
    "UTF-8": lambda record: json.dumps(record, ensure_ascii=False),
    "slashes": lambda record: json.dumps(record).replace("/", "\\/"),
    "escapes": escaped,
    "twice": in_two_places,
    "EventBridge": lambda record: json.dumps({"detail-type": "x", "detail": record}),
    "text in JSON": lambda record: json.dumps({"CloudTrailEvent": escaped(record)}),
    "lower case": lambda record: json.dumps({key.lower(): v for key, v in record.items()}),
    "objects as text": lambda record: json.dumps(
        {k: json.dumps(v) if isinstance(v, dict) else v for k, v in record.items()}
    ),
}


@st.composite
def files(draw):
    """Return a file of records, written in various ways; some share their eventID."""
    ways = draw(st.lists(st.sampled_from([*WAYS]), min_size=1, max_size=3))
    lines = []
    for number, changed in enumerate(draw(st.lists(fields, min_size=1, max_size=12))):
        name = draw(st.sampled_from(["ListRoles", "GetUser", "alice"]))
        event_id = draw(st.sampled_from([str(number)] * 5 + ["0", None]))
        record = call(name, ALICE, START + number * 60, eventID=event_id) | changed
        record["requestID"] = f"request {number}"
        lines.append(WAYS[ways[number % len(ways)]](record))
    if draw(st.booleans()) and ways[0] in ("lines", "UTF-8", "slashes", "escapes", "twice"):
        return f'{{"Records": [{",".join(lines)}]}}'
    return "\n".join(lines)


def quoted(literal):
    return "'" + literal.replace("\\", "\\\\").replace("'", "''") + "'"


COLUMNS = ("sourceIPAddress", "userAgent", "errorCode", "eventName", "p_log_type")
PATHS = (
    "userIdentity:arn",
    "userIdentity:userName",
    "userIdentity:sessionContext:sessionIssuer:userName",
    "requestParameters:roleName",
    "requestParameters:tags",
    "resources[0]:ARN",
    "insightDetails:x",
)
LISTS = ("p_any_usernames", "p_any_aws_arns", "p_any_ip_addresses", "p_any_aws_tags")
LISTS += ("p_any_domain_names", "p_any_aws_account_ids")

literal = text.map(quoted)
carrier = st.sampled_from([*COLUMNS, *(f"{path}::string" for path in PATHS)])
carrier |= st.builds("{}({})".format, st.sampled_from(["LOWER", "UPPER", "TRIM"]), carrier)
carrier |= st.builds("SPLIT_PART({}, '/', -1)".format, carrier)
pattern = st.builds(
    lambda before, part, after: quoted(before + part + after),
    st.sampled_from(["", "%", "_"]),
    text,
    st.sampled_from(["", "%", "_%"]),
)
moment = st.integers(0, 720).map(
    lambda m: f"'2026-01-05 {9 + m // 360:02}:{m % 60:02}:00'::timestamp"
)
atom = st.one_of(
    st.builds("{} = {}".format, carrier, literal),
    st.builds("{} = {}".format, literal, carrier),
    st.builds("{} = {}".format, st.sampled_from(PATHS), literal),
    st.builds("{} <> {}".format, carrier, literal),
    st.builds("{} IN ({}, {})".format, carrier, literal, literal),
    st.builds("NULLIF({}, '') IN ({}, {})".format, literal, carrier, carrier),
    st.builds("{} NOT IN ({}, {})".format, carrier, literal, literal),
    st.builds("{} {} {}".format, carrier, st.sampled_from(["LIKE", "ILIKE", "NOT LIKE"]), pattern),
    st.builds("{} ILIKE ANY ({}, {})".format, carrier, pattern, pattern),
    st.builds("{}({}, {})".format, st.sampled_from(["CONTAINS", "STARTSWITH"]), carrier, literal),
    st.builds("ARRAY_CONTAINS({}::variant, {})".format, literal, st.sampled_from(LISTS)),
    st.builds(
        "ARRAYS_OVERLAP({}, ARRAY_CONSTRUCT({}, {}))".format,
        st.sampled_from(LISTS),
        literal,
        literal,
    ),
    st.builds("{} IS NULL".format, carrier),
    st.builds("p_event_time {} {}".format, st.sampled_from([">", ">=", "<", "<=", "="]), moment),
    st.builds("p_event_time BETWEEN {} AND DATEADD('hour', 1, {})".format, moment, moment),
    st.builds("p_event_time > {} - INTERVAL '1 hour'".format, moment),
    st.just("p_occurs_since('45 minutes')"),
)
condition = st.recursive(
    atom,
    lambda inner: st.one_of(
        st.builds("({} AND {})".format, inner, inner),
        st.builds("({} OR {})".format, inner, inner),
        st.builds("NOT ({})".format, inner),
    ),
    max_leaves=4,
)
SELECTS = (
    "SELECT requestID, {columns} FROM {log} WHERE {condition} ORDER BY 1",
    "SELECT COUNT(*) AS n, MAX(p_event_time) AS latest FROM {log} WHERE {condition}",
    "SELECT * FROM {log} WHERE {condition} ORDER BY requestID",
    "SELECT a.requestID, b.requestID AS other FROM {log} a LEFT JOIN {log} b"
    " ON a.userAgent = b.userAgent AND b.errorCode = 'alice' WHERE a.eventName = 'ListRoles'"
    " ORDER BY 1, 2",
    "WITH some AS (SELECT requestID, {columns} FROM {log} WHERE {condition})"
    " SELECT * FROM some UNION ALL SELECT requestID, {columns} FROM {log}"
    " WHERE userAgent = 'bob' ORDER BY 1",
    "SELECT requestID FROM {log} WHERE requestID NOT IN (SELECT requestID FROM {log}"
    " WHERE ({condition}) AND requestID IS NOT NULL) ORDER BY 1",
)
shown = st.sampled_from(
    ["userAgent", "userIdentity", "requestParameters, errorCode", "p_any_usernames, p_row_id"]
)


@st.composite
def queries(draw):
    """Return a query over the log, in Snowflake's dialect."""
    select = draw(st.sampled_from([SELECTS[0]] * 3 + [*SELECTS]))
    return select.format(log=LOG, columns=draw(shown), condition=draw(condition))


def saved(sql):
    return SavedQuery("Own", "own.yml", "", sql, QueryTexts({"Own": sql}), "")


def whole_answer(sql, paths, values=None, period=ALWAYS):
    """Return the answer of a lake with every record in it, and the counts of what was read."""
    query = parse_sql(sql)
    with Lake() as lake:
        tally, latest = fill(lake, scanned_event_names(query), paths, period)
        return lake.query(transpile_sql(query, values), latest + 1), tally


def fill(lake, names, paths, period=ALWAYS):
    """Add all records of some calls to a lake; return the counts and the latest time."""
    tally, latest = Tally(), 0.0
    for record in Reader(names, tally, period=period).read(paths):
        lake.add(record)
        latest = max(latest, record.time)
    return tally, latest


@pytest.fixture(scope="module")
def recorded_lakes():
    """Return a function from the names of calls to a lake with all that were recorded."""
    with ExitStack() as stack:

        @cache
        def filled(names):
            lake = stack.enter_context(Lake())
            return lake, *fill(lake, names, [str(path) for path in recorded_files()])

        yield filled


@pytest.mark.long
@settings(max_examples=examples(60, 3000), suppress_health_check=[HealthCheck.too_slow])
@given(files(), queries(), st.sampled_from([ALWAYS, ALWAYS, Period(START + 60, START + 300)]))
def test_every_answer_and_count_is_that_of_a_lake_with_all_records(
    tmp_path_factory, text, sql, period
):
    trail = tmp_path_factory.mktemp("trail") / "trail.json"
    trail.write_bytes(text.encode("utf-8", "surrogatepass"))
    rows, tally = whole_answer(sql, [str(trail)], period=period)
    answer = run_saved(saved(sql), Trail([str(trail)], period), {})
    assert answer.rows == rows
    assert answer.tally == tally


def values_of(spec, record):
    """Return values for the parameters of a query that match a record."""
    identity = record.get("userIdentity") or {}
    known = {
        "name": (identity.get("arn") or "").rpartition("/")[2],
        "principal": identity.get("arn") or "",
        "address": record.get("sourceIPAddress") or "",
        "alert_time": record["eventTime"],
    }
    query = saved(spec["SnowflakeQuery"])
    return {
        name: known.get(name, known["name"])
        for name, default in query.parameters.items()
        if name in known or default.is_string
    }


@pytest.mark.long
@pytest.mark.parametrize("name", SPECS)
def test_each_query_of_the_package_answers_the_same_on_recorded_cloudtrail(name, recorded_lakes):
    if not recorded_files():
        pytest.skip(f"no recorded CloudTrail in {RECORDED}")
    sql, paths = SPECS[name]["SnowflakeQuery"], [str(path) for path in recorded_files()]
    names = scanned_event_names(parse_sql(sql))
    lake, tally, latest = recorded_lakes(names)
    lines = [line for path in recorded_files() for line in path.read_text().splitlines()]
    for record in map(json.loads, lines[:: len(lines) // 3]):
        values = values_of(SPECS[name], record)
        rows = lake.query(transpile_sql(parse_sql(sql), values), latest + 1)
        answer = run_saved(saved(sql), Trail(paths, workers=2), values)
        # Some queries leave the order of rows open that are equal in their ORDER BY.
        assert sorted(answer.rows, key=json.dumps) == sorted(rows, key=json.dumps)
        assert answer.tally == tally


class TestSelection:
    """Tests that something is left out, since comparisons alone would pass without a selection."""

    def selection(self, condition, select="requestID"):
        sql = f"SELECT {select} FROM {LOG} t WHERE {condition}"
        return selection_of(transpiled(parse_sql(sql)))

    @pytest.mark.parametrize(
        ("condition", "clauses"),
        [
            ("userAgent = 'alice'", [[Trait("userAgent", "alice")]]),
            ("'alice' = t.userAgent", [[Trait("userAgent", "alice")]]),
            ("userIdentity:arn = 'a\"lice'", [[Trait("userIdentity", "lice")]]),
            ("userAgent ILIKE '%Kali_L'", [[Trait("userAgent", "kali", ignores_case=True)]]),
            ("LOWER(userAgent) = 'x y'", [[Trait("userAgent", "x y", ignores_case=True)]]),
            ("recipientAccountId = '1'", [[Trait("recipientAccountId", "1", is_like_number=True)]]),
            ("userAgent IN ('a', 'b')", [[Trait("userAgent", "a"), Trait("userAgent", "b")]]),
            (
                "userAgent = 'a' OR errorCode = 'b'",
                [[Trait("userAgent", "a"), Trait("errorCode", "b")]],
            ),
            (
                "userAgent = 'a' AND errorCode = 'b'",
                [[Trait("userAgent", "a")], [Trait("errorCode", "b")]],
            ),
            ("ARRAY_CONTAINS('x'::variant, p_any_usernames)", [[Trait("", "x")]]),
            (
                "ARRAYS_OVERLAP(p_any_aws_arns, ARRAY_CONSTRUCT('x', 'y'))",
                [[Trait("", "x"), Trait("", "y")]],
            ),
        ],
    )
    def test_records_without_the_text_of_a_condition_are_left_out(self, condition, clauses):
        (sieve,) = self.selection(condition).sieves
        assert [[*clause] for clause in sieve.clauses] == clauses

    @pytest.mark.parametrize(
        "condition",
        [
            "NOT userAgent = 'alice'",
            "userAgent <> 'alice'",
            "userAgent = 'alice' OR readOnly",
            "userAgent = ''",
            "userAgent = '\"'",
            "userIdentity:accountId = '123456789012'",
            "requestParameters:count::string LIKE '%1.0%'",
            "COALESCE(userAgent, 'alice') = 'alice'",
            "ARRAY_CONTAINS('team:blue'::variant, p_any_aws_tags)",
            "requestID IN (SELECT 'alice')",
        ],
    )
    def test_nothing_is_left_out_if_a_condition_is_not_understood(self, condition):
        assert self.selection(condition).sieves == ()

    def test_records_outside_the_time_of_a_condition_are_left_out(self):
        bounds = "p_event_time >= '2026-01-05'::timestamp AND p_event_time < '2026-01-06 12:00:00'"
        assert self.selection(bounds).sieves == (Sieve((), 1767571200.0, 1767700800.0),)

    @pytest.mark.parametrize("kind", ["RIGHT JOIN", "FULL JOIN"])
    def test_nothing_is_left_out_if_a_join_keeps_rows_without_a_partner(self, kind):
        sql = f"SELECT a.requestID FROM {LOG} a {kind} {LOG} b ON a.requestID = b.requestID"
        found = selection_of(transpiled(parse_sql(f"{sql} WHERE a.userAgent = 'alice'")))
        assert found.sieves == ()

    def test_nothing_is_left_out_if_two_ctes_have_the_name_of_the_parameters(self):
        inner = f"WITH p AS (SELECT userAgent AS v FROM {LOG}) SELECT requestID FROM {LOG}"
        inner += " WHERE errorCode IN ((SELECT v FROM p))"
        sql = f"WITH p AS (SELECT 'alice' AS v) SELECT requestID FROM ({inner}), p"
        assert selection_of(transpiled(parse_sql(sql))).sieves == ()

    def test_fields_that_the_query_does_not_name_are_left_out(self):
        condition = "userAgent = 'alice' GROUP BY awsRegion"
        found = self.selection(condition, "COUNT(*) AS n, MIN(p_event_time) AS first")
        assert found.fields == ("awsRegion", "userAgent")

    @pytest.mark.parametrize("select", ["*", "t.*", "p_row_id", "p_any_usernames"])
    def test_no_field_is_left_out_if_all_can_be_needed(self, select):
        assert self.selection("userAgent = 'alice'", select).fields is None

    def test_no_column_is_left_out_if_a_natural_join_compares_all(self):
        sql = f"SELECT a.requestID FROM {LOG} a NATURAL JOIN {LOG} b"
        assert needed_columns(transpiled(parse_sql(sql))) == LOG_COLUMNS

    def test_records_that_are_left_out_are_neither_parsed_nor_stored(self, tmp_path):
        trail = tmp_path / "trail.json.gz"
        agents = ["alice", *["bob"] * 9]
        records = [
            call("GetUser", userAgent=agent, eventID=str(n)) for n, agent in enumerate(agents)
        ]
        trail.write_bytes(gzip.compress(json.dumps({"Records": records}).encode()))
        selection = Selection(("userAgent",), (Sieve(((Trait("userAgent", "alice"),),)),))
        tally = Tally()
        found = list(Reader(None, tally, selection=selection).read([str(trail)]))
        assert [json.loads(record.raw) for record in found] == [{"userAgent": "alice"}]
        assert (tally.records, tally.wanted) == (10, 10)
