"""The data lake over GraphQL: Snowflake SQL, pages, limits, cancellation, and reading only."""

import shutil
import time
from contextlib import suppress
from pathlib import Path

import pytest

from local_panther.instance.lake import rendering
from local_panther.instance.lake.queries import MAX_REMEMBERED, LakeQueries
from local_panther.times import iso
from tests.builders.replays import BLOCKLIST, CORRELATION
from tests.instance.servers import eventually, processes_with

pytestmark = pytest.mark.process

LOGS = "panther_logs.public.aws_cloudtrail"
START = "mutation($i: ExecuteDataLakeQueryInput!) {executeDataLakeQuery(input: $i) {id}}"
CANCEL = "mutation($i: CancelDataLakeQueryInput!) {cancelDataLakeQuery(input: $i) {id}}"
GET = """query($id: ID!, $input: DataLakeQueryResultsInput) {dataLakeQuery(id: $id) {
    id status message sql startedAt completedAt issuedBy {__typename}
    results(input: $input) {
        edges {node} pageInfo {hasNextPage endCursor} columnInfo {order types}
        stats {bytesScanned executionTime rowCount}
    }}}"""
# Runs until it is stopped.
ENDLESS = f"SELECT count(*) FROM {LOGS} a, {LOGS} b, {LOGS} c, {LOGS} d, {LOGS} e, {LOGS} f, {LOGS}"


def start(lake, sql: str, database: str = "panther_logs.public") -> str:
    return lake.ask(START, i={"sql": sql, "databaseName": database})["id"]


def finished(lake, query_id: str, **page) -> dict:
    while (found := lake.ask(GET, id=query_id, input=page))["status"] == "running":
        time.sleep(0.02)
    return found


def rows(lake, sql: str, **options) -> list[dict]:
    found = finished(lake, start(lake, sql, **options))
    assert found["status"] == "succeeded", found["message"]
    return [edge["node"] for edge in found["results"]["edges"]]


def failure(lake, sql: str) -> str:
    found = finished(lake, start(lake, sql))
    assert found["status"] == "failed" and found["results"] is None
    return found["message"]


def descriptors() -> list[str]:
    """Return the names of the open files of this process."""
    found = []
    for path in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found.append(str(path.readlink()))
    return found


def alerts(lake, **parameters) -> list[dict]:
    return lake.get("/alerts", **parameters)["results"]


class TestTemplates:
    """Queries that import macros of stored queries, as the REST API returns them."""

    def test_a_stored_query_runs_as_it_is_stored(self, lake):
        stored = {query["name"]: query["sql"] for query in lake.get("/queries")["results"]}
        hunt = stored["AWS Role Escalation Hunt"]
        assert "{% import 'aws_role_macros'" in hunt
        (row, *_) = rows(lake, hunt.replace("30 d", "9000 d"))
        assert row["distinct_targets"] >= 12

    @pytest.mark.parametrize(
        "template, message",
        [
            ("{% import 'none' x %}", "line 2: imports x from the query 'none', which is missing"),
            ("{{ x }}", "invalid template: UndefinedError"),
            ("{{ ''.__class__.__mro__ }}", "invalid template: SecurityError"),
            ("{{ 'x' * 10 ** 11 }}", "the rendering of the template failed"),
        ],
    )
    def test_a_template_that_cannot_be_rendered_only_fails_its_own_query(
        self, lake, template, message
    ):
        assert message in failure(lake, f"-- pragma: template\n{template}")
        assert rows(lake, "SELECT 1 AS one") == [{"one": 1}]

    def test_a_template_that_takes_too_long_to_render_is_stopped(self, lake, monkeypatch):
        monkeypatch.setattr(rendering, "SECONDS", 1.0)
        loops = "{% for i in range(99999) %}" * 3 + "{% endfor %}" * 3
        message = failure(lake, f"-- pragma: template\n{loops}")
        assert "the rendering of the template took more than 1.0 s" in message


class TestSnowflake:
    def test_the_principal_of_an_alert_is_found_in_the_log(self, lake):
        (alert,) = alerts(lake, detection_id=CORRELATION)
        (first, *_) = lake.get(f"/alerts/{alert['id']}/events")["results"]
        arn = first["userIdentity"]["arn"]
        found = rows(
            lake,
            f"""SELECT eventName, count(*) AS n FROM {LOGS}
            WHERE userIdentity:arn = '{arn}' AND p_event_time > '2020-01-01'
            GROUP BY eventName ORDER BY n DESC""",
        )
        assert {row["eventName"] for row in found} >= {"AssumeRole"}

    @pytest.mark.parametrize(
        "condition",
        (
            "userIdentity:type = 'IAMUser'",
            "userIdentity:type IN ('IAMUser', 'Nothing')",
            "userIdentity:type::string = 'IAMUser'",
            "userIdentity:type LIKE 'IAMU%'",
            "userIdentity:type ILIKE 'iamuser'",
            "LOWER(userIdentity:type) = 'iamuser'",
            "CONTAINS(userIdentity:type, 'MUse')",
            "STARTSWITH(userIdentity:type, 'IAM')",
            "REGEXP_LIKE(userIdentity:type, 'IAM.*')",
            "userIdentity['type'] = 'IAMUser'",
            "userIdentity:type || '' = 'IAMUser'",
            "COALESCE(userIdentity:type::string, '') = 'IAMUser'",
        ),
    )
    def test_a_variant_compares_as_its_text(self, lake, condition):
        plain = f"SELECT count(*) AS n FROM {LOGS} WHERE userIdentity:type::varchar = 'IAMUser'"
        (expected,) = rows(lake, plain)
        (found,) = rows(lake, f"SELECT count(*) AS n FROM {LOGS} WHERE {condition}")
        assert found == expected and found["n"] > 0

    @pytest.mark.parametrize(
        ("expression", "value"),
        (
            ("IFF(1 = 1, 'a', 'b')", "a"),
            ("NVL(NULL, 'a')", "a"),
            ("SPLIT_PART('a/b', '/', 2)", "b"),
            ("PARSE_JSON('{\"a\": [1, 2]}'):a[1]::int", 2),
            ("PARSE_JSON('{\"a\": 5}'):a > 4", True),
            ("ARRAY_CONTAINS('x'::variant, ARRAY_CONSTRUCT('x'))", True),
            ("ARRAY_SIZE(ARRAY_CONSTRUCT(1, 2))", 2),
            ("DATEADD('day', 1, '2026-01-05'::timestamp)::date::string", "2026-01-06"),
            (
                "DATEDIFF('minute', '2026-01-05 10:00'::timestamp, '2026-01-05 11:30'::timestamp)",
                90,
            ),
            ("DATE_TRUNC('hour', '2026-01-05 10:35'::timestamp)", "2026-01-05 10:00:00.000"),
            ("TO_TIMESTAMP('2026-01-05T10:00:00Z')", "2026-01-05 10:00:00.000"),
            ('PARSE_JSON(\'{"a": {"b": 1}}\')', {"a": {"b": 1}}),
            ("'inf'::float", "inf"),
        ),
    )
    def test_functions_have_the_values_of_snowflake(self, lake, expression, value):
        assert rows(lake, f"SELECT {expression} AS v") == [{"v": value}]

    def test_indicators_are_lists(self, lake):
        (event,) = rows(
            lake, f"SELECT p_any_aws_arns FROM {LOGS} WHERE eventName = 'AssumeRole' LIMIT 1"
        )
        arn = event["p_any_aws_arns"][0]
        assert rows(
            lake,
            f"SELECT eventID FROM {LOGS} WHERE ARRAY_CONTAINS('{arn}'::variant, p_any_aws_arns)",
        )

    def test_flatten_returns_the_elements_of_a_list(self, lake):
        found = rows(
            lake,
            """WITH t AS (SELECT PARSE_JSON('[{"ARN": "a"}, {"ARN": "b"}]') AS resources)
            SELECT f.value:ARN::string AS arn, f.index AS place
            FROM t, LATERAL FLATTEN(input => t.resources) f ORDER BY arn""",
        )
        assert found == [{"arn": "a", "place": 0}, {"arn": "b", "place": 1}]

    def test_macros_count_back_from_now(self, lake):
        assert rows(lake, f"SELECT eventID FROM {LOGS} WHERE p_occurs_since('1 h')") == []
        between = "p_occurs_between('2026-01-01', '2026-02-01')"
        assert len(rows(lake, f"SELECT eventID FROM {LOGS} WHERE {between}")) > 50

    @pytest.mark.parametrize(
        ("table", "database"),
        (
            ("aws_cloudtrail", "panther_logs.public"),
            ("aws_cloudtrail", "panther_logs"),
            ("public.aws_cloudtrail", "panther_logs"),
            ("PANTHER_LOGS.PUBLIC.AWS_CLOUDTRAIL", "panther_signals.public"),
        ),
    )
    def test_a_table_may_be_named_in_part(self, lake, table, database):
        whole = rows(lake, f"SELECT count(*) AS n FROM {LOGS}")
        assert rows(lake, f"SELECT count(*) AS n FROM {table}", database=database) == whole

    def test_rule_matches_and_signals_have_the_id_of_their_alert(self, lake):
        (alert,) = alerts(lake, detection_id=BLOCKLIST)
        where = f"WHERE p_alert_id = '{alert['id']}'"
        (match,) = rows(
            lake,
            "SELECT p_rule_id, p_alert_severity, p_rule_tags, p_alert_context, userIdentity:arn"
            f" AS arn FROM panther_rule_matches.public.aws_cloudtrail {where}",
        )
        assert match["p_rule_id"] == BLOCKLIST and match["p_alert_severity"] == "HIGH"
        assert match["p_alert_context"] == alert["context"] and "AWS" in match["p_rule_tags"]
        assert match["arn"].startswith("arn:aws:iam::")
        assert rows(lake, f"SELECT 1 FROM panther_signals.public.correlation_signals {where}")


class TestPages:
    def test_pages_have_every_row_once(self, lake):
        sql = f"SELECT eventID FROM {LOGS} ORDER BY p_event_time, eventID"
        query_id = start(lake, sql)
        whole = finished(lake, query_id)["results"]
        found, cursor = [], None
        while True:
            page = finished(lake, query_id, pageSize=7, cursor=cursor)["results"]
            found += page["edges"]
            assert len(page["edges"]) <= 7
            cursor = page["pageInfo"]["endCursor"]
            if not page["pageInfo"]["hasNextPage"]:
                break
        assert found == whole["edges"] and len(found) == whole["stats"]["rowCount"]
        assert whole["columnInfo"] == {"order": ["eventID"], "types": {"eventID": "TEXT"}}

    def test_a_page_has_at_most_999_rows(self, lake):
        query_id = start(lake, f"SELECT a.eventID FROM {LOGS} a, {LOGS} b LIMIT 1500")
        assert len(finished(lake, query_id)["results"]["edges"]) == 999
        errors = lake.send(GET, id=query_id, input={"pageSize": 1000})["errors"]
        assert "pageSize: 1000 is not between 1 and 999" in errors[0]["message"]

    def test_rows_beyond_the_limit_are_left_out_and_reported(self, lake):
        query_id = start(lake, f"SELECT 1 AS one FROM {LOGS} a, {LOGS} b, {LOGS} c LIMIT 20000")
        found = finished(lake, query_id)
        assert found["results"]["stats"]["rowCount"] == 10_000
        assert found["message"] == (
            "10,000 rows; there are more, which a LIMIT or a narrower WHERE leaves out"
        )


class TestErrors:
    @pytest.mark.parametrize(
        ("sql", "message"),
        (
            (f"SELECT\n  eventName\nFROM {LOGS}\nWHERE (eventName = 'a'", "Line 4"),
            (
                f"SELECT\n  eventNam\nFROM {LOGS}",
                "line 2: there is no column eventNam: did you mean eventName?",
            ),
            (
                f"SELECT eventName\nFROM {LOGS}\nWHERE\n  no_such(eventName)",
                "line 4: the function NO_SUCH is not supported here",
            ),
            ("SELECT 1\nFROM no_such", "line 2: there is no table no_such; there are panther_logs"),
            ("SELECT 1\nFROM\npanther_logs.other.aws_cloudtrail", "line 3: there is no table"),
            (f"SELECT * FROM {LOGS}\nWHERE p_occurs_since('a while')", "not a length of time"),
            ("SELECT 1; SELECT 2", "must be one SELECT"),
            ("", "must be one SELECT"),
            ("x" * 100_001, "more than 100,000 characters"),
        ),
    )
    def test_an_invalid_query_is_refused_with_the_reason(self, lake, sql, message):
        assert message in failure(lake, sql)

    def test_the_error_for_an_unknown_column_suggests_similar_ones(self, lake):
        assert "eventName" in failure(lake, f"SELECT eventNam FROM {LOGS}")


@pytest.mark.attack("lake")
class TestReadOnly:
    @pytest.mark.parametrize(
        "sql",
        (
            f"DELETE FROM {LOGS}",
            f"DROP TABLE {LOGS}",
            f"INSERT INTO {LOGS} SELECT * FROM {LOGS}",
            f"CREATE TABLE panther_logs.public.mine AS SELECT * FROM {LOGS}",
            f"SELECT * INTO mine FROM {LOGS}",
            f"COPY (SELECT * FROM {LOGS}) TO '/tmp/out.csv'",
            "ATTACH '/tmp/other.db'",
            "INSTALL httpfs",
            "SET memory_limit = '100GB'",
            "PRAGMA database_list",
            "CALL duckdb_settings()",
            "SELECT * FROM read_csv('/etc/passwd')",
            "SELECT * FROM read_text('/etc/passwd')",
            "SELECT * FROM '/etc/passwd'",
            'SELECT * FROM "/etc/passwd"',
            "SELECT * FROM glob('/*')",
            "SELECT * FROM read_json('https://example.com/x.json')",
            "SELECT * FROM 's3://bucket/key'",
            "SELECT * FROM duckdb_settings()",
            "SELECT * FROM information_schema.tables",
            "SELECT * FROM sqlite_master",
            "SELECT * FROM json",
            "SELECT * FROM (SELECT * FROM read_csv('/etc/passwd')) x",
            "WITH x AS (SELECT * FROM read_csv('/etc/passwd')) SELECT * FROM x",
            "SELECT (SELECT content FROM read_text('/etc/passwd'))",
            "WITH read_csv AS (SELECT 1) SELECT * FROM read_csv('/etc/passwd')",
            "SELECT getenv('HOME')",
        ),
    )
    def test_anything_but_a_select_over_the_lake_fails(self, lake, sql):
        before = rows(lake, f"SELECT count(*) AS n FROM {LOGS}")
        assert failure(lake, sql)
        assert rows(lake, f"SELECT count(*) AS n FROM {LOGS}") == before

    def test_a_cte_may_have_the_name_of_a_table(self, lake):
        own = f"WITH aws_cloudtrail AS (SELECT 7 AS n FROM {LOGS} LIMIT 1)"
        sql = f"{own} SELECT * FROM aws_cloudtrail"
        assert rows(lake, sql) == [{"n": 7}]


class TestLimits:
    def test_a_query_can_be_cancelled(self, lake):
        query_id = start(lake, ENDLESS)
        assert lake.ask(GET, id=query_id)["status"] == "running"
        assert lake.ask(CANCEL, i={"id": query_id}) == {"id": query_id}
        assert finished(lake, query_id)["status"] == "cancelled"
        assert rows(lake, "SELECT 1 AS one") == [{"one": 1}]  # a worker is free again

    def test_a_query_that_has_ended_cannot_be_cancelled(self, lake):
        query_id = start(lake, "SELECT 1")
        finished(lake, query_id)
        (error,) = lake.send(CANCEL, i={"id": query_id})["errors"]
        assert "cannot be cancelled" in error["message"]
        (error,) = lake.send(CANCEL, i={"id": "none"})["errors"]
        assert "not found" in error["message"]

    def test_a_query_that_takes_too_long_is_stopped(self, lake):
        (folder,) = lake.state.glob("lake-*")
        queries = LakeQueries(lambda: folder, seconds=0.3)
        try:
            query = queries.start(ENDLESS, "panther_logs")
            while query.status == "running":
                time.sleep(0.02)
            assert (query.status, query.message) == (
                "failed",
                "took more than 0.3 s and was stopped",
            )
        finally:
            queries.close()

    @pytest.mark.attack("lake")
    def test_a_single_endless_call_delays_neither_other_queries_nor_the_stop(self, lake):
        (folder,) = lake.state.glob("lake-*")
        before = {*processes_with(str(folder))}
        queries = LakeQueries(lambda: folder)
        long = "EDITDISTANCE(REPEAT('a', 2000000), REPEAT('b', 2000000))"
        try:
            endless = [queries.start(f"SELECT {long} AS n", "panther_logs") for _ in range(2)]
            assert eventually(lambda: all(query.process for query in endless), 60)
            assert queries.cancel(endless[0])
            query = queries.start("SELECT 1 AS one", "panther_logs")
            assert eventually(lambda: query.status != "running", 60) and query.found.rows
            assert endless[1].status == "running"
        finally:
            queries.close()
        assert endless[1].status == "cancelled"
        assert eventually(lambda: {*processes_with(str(folder))} <= before)

    @pytest.mark.attack("lake")
    def test_a_query_that_needs_too_much_memory_fails_and_the_next_one_does_not(self, lake):
        assert "memory" in failure(lake, "SELECT LENGTH(REPEAT('x', 1900000000)) AS n")
        assert rows(lake, "SELECT 1 AS one") == [{"one": 1}]

    @pytest.mark.attack("lake")
    def test_only_the_lake_of_the_latest_replay_is_open(self, lake, tmp_path):
        (folder,) = lake.state.glob("lake-*")
        current = []
        queries = LakeQueries(lambda: current[-1])
        before = len(processes_with(str(tmp_path)))
        try:
            for number in range(5):
                current.append(tmp_path / f"lake-{number}")
                shutil.copytree(folder, current[-1])
                queries.let_go()
                query = queries.start("SELECT 1 AS one", "panther_logs")
                assert eventually(lambda q=query: q.status == "succeeded", 60)
                assert queries.tables()["panther_logs"]["aws_cloudtrail"]
                assert len(processes_with(str(tmp_path))) - before <= 2
            assert not any("lake-0" in name for name in descriptors())
        finally:
            queries.close()
        assert eventually(lambda: len(processes_with(str(tmp_path))) == before)

    def test_a_query_beyond_the_limit_is_refused(self, lake):
        ids = [start(lake, ENDLESS) for _ in range(20)]
        try:
            (error,) = lake.send(START, i={"sql": "SELECT 1"})["errors"]
            assert "20 queries run already" in error["message"]
        finally:
            for query_id in ids:
                lake.ask(CANCEL, i={"id": query_id})
        assert {finished(lake, query_id)["status"] for query_id in ids} == {"cancelled"}

    def test_only_the_latest_queries_are_remembered(self):
        queries = LakeQueries(lambda: None)
        try:
            for _ in range(MAX_REMEMBERED + 5):
                query = queries.start("SELECT 1", "panther_logs")
                while query.status == "running":
                    time.sleep(0.001)
            assert query.message == "no replay has filled the lake yet"
            assert len(queries.all()) == MAX_REMEMBERED and queries.all()[0] is query
        finally:
            queries.close()


class TestCatalogue:
    def test_databases_tables_and_columns_are_listed(self, lake):
        databases = lake.ask("{dataLakeDatabases {name description tables {name}}}")
        assert [d["name"] for d in databases] == [
            "panther_logs.public",
            "panther_signals.public",
            "panther_rule_matches.public",
        ]
        listing = """query($i: DataLakeDatabaseTablesInput!) {dataLakeDatabaseTables(input: $i)
            {edges {node {name logType}} pageInfo {hasNextPage endCursor}}}"""
        table = """query($i: DataLakeDatabaseTableInput!) {dataLakeDatabaseTable(input: $i)
            {name logType columns {name type}}}"""
        for database in databases:
            name = {"databaseName": database["name"]}
            found, page = [], {}
            while True:
                part = lake.ask(listing, i={**name, "pageSize": 1, **page})
                found += [edge["node"]["name"] for edge in part["edges"]]
                if not part["pageInfo"]["hasNextPage"]:
                    break
                page = {"cursor": part["pageInfo"]["endCursor"]}
            assert found == [t["name"] for t in database["tables"]] != []
            for entry in found:
                columns = lake.ask(table, i={**name, "tableName": entry})["columns"]
                names = ", ".join(f'"{column["name"]}"' for column in columns)
                rows(lake, f"SELECT {names} FROM {database['name']}.{entry} LIMIT 1")
        log = lake.ask(table, i={"databaseName": "panther_logs", "tableName": "AWS.CloudTrail"})
        assert log["logType"] == "AWS.CloudTrail"
        assert {"name": "userIdentity", "type": "VARIANT"} in log["columns"]

    def test_an_unknown_table_is_reported(self, lake):
        query = '{dataLakeDatabase(name: "other") {name}}'
        (error,) = lake.send(query)["errors"]
        assert "there is no database other" in error["message"]


def test_metrics_count_the_alerts_of_a_period(lake):
    metrics = """query($i: MetricsInput!) {metrics(input: $i) {totalAlerts
        alertsPerSeverity {label value breakdown} alertsPerRule {entityId label value}
        bytesProcessedPerSource {label value breakdown}}}"""
    whole = {"fromDate": "2026-01-01T00:00:00Z", "toDate": "2026-02-01T00:00:00Z"}
    found = lake.ask(metrics, i={**whole, "intervalInMinutes": 60})
    kept = alerts(lake)
    assert found["totalAlerts"] == len(kept)
    assert sum(series["value"] for series in found["alertsPerSeverity"]) == len(kept)
    for series in found["alertsPerSeverity"]:
        assert sum(series["breakdown"].values()) == series["value"]
    counts = {rule["entityId"]: rule["value"] for rule in found["alertsPerRule"]}
    assert counts[BLOCKLIST] == len([a for a in kept if a["detection"]["id"] == BLOCKLIST])
    before = {"fromDate": "2020-01-01T00:00:00Z", "toDate": "2020-02-01T00:00:00Z"}
    assert lake.ask(metrics, i=before)["totalAlerts"] == 0
    (error,) = lake.send(metrics, i={**whole, "intervalInMinutes": 1})["errors"]
    assert "more than 10,000 points" in error["message"]


def test_the_bytes_of_a_replay_count_for_the_last_full_hour_before_it(lake):
    """panther_analysis_tool requests that hour, whenever the events happened."""
    metrics = """query($i: MetricsInput!) {metrics(input: $i) {totalBytesProcessed
        bytesProcessedPerSource {label value breakdown}}}"""
    now = time.time()
    past = {"fromDate": iso(now - 14 * 86_400), "toDate": iso(now // 3600 * 3600 - 0.001)}
    found = lake.ask(metrics, i={**past, "intervalInMinutes": 60})
    (series,) = found["bytesProcessedPerSource"]
    assert series["label"] == "AWS.CloudTrail"
    assert list(series["breakdown"].values()) == [series["value"]]
    assert found["totalBytesProcessed"] == series["value"] > 10_000
    events = {"fromDate": "2026-01-01T00:00:00Z", "toDate": "2026-01-15T00:00:00Z"}
    assert lake.ask(metrics, i=events)["bytesProcessedPerSource"] == []


def test_the_only_source_is_cloudtrail(lake):
    (edge,) = lake.ask(
        "{sources {edges {node {integrationLabel isHealthy logTypes lastEventReceivedAtTime}}}}"
    )["edges"]
    assert edge["node"]["isHealthy"] and edge["node"]["logTypes"] == ["AWS.CloudTrail"]


def test_ai_is_refused_as_not_supported(lake):
    query = "mutation($i: AISummarizeAlertInput!) {aiSummarizeAlert(input: $i) {streamId}}"
    (error,) = lake.send(query, i={"alertId": "x"})["errors"]
    assert "not supported by the local Panther" in error["message"]


class TestSize:
    @pytest.mark.parametrize(
        ("query", "message"),
        (
            (
                f"{{{' '.join(f'a{i}: generalSettings {{pantherVersion}}' for i in range(11))}}}",
                "10 op",
            ),
            ("{a {b %s}}" % ("{c " * 30 + "d" + "}" * 30), "deep"),
            (
                "fragment A on T {x x x x x x x x x x} "
                + " ".join(
                    f"fragment {new} on T {{{f'...{old} ' * 10}}}"
                    for old, new in ("AB", "BC", "CD")
                )
                + "{schemas {...D}}",
                "1000 fields",
            ),
            ("{%s}" % ("a " * 2001), "2000 tokens"),
        ),
    )
    def test_a_request_that_is_too_large_is_refused(self, lake, query, message):
        (error,) = lake.send(query)["errors"]
        assert message in error["message"]


def test_requests_before_the_first_replay_are_answered(instance):
    (error,) = instance.send('{dataLakeQuery(id: "x") {id}}')["errors"]
    assert "query not found" in error["message"]
    assert "no replay has filled the lake yet" in failure(instance, f"SELECT 1 FROM {LOGS}")
    assert instance.ask("{sources {edges {node {integrationId}}}}") == {"edges": []}
    assert instance.get("/alerts") == {"results": []}
