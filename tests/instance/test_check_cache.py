"""The check of an upload uses the user's cache, which uploaded code cannot change."""

import sqlite3
from contextlib import closing

import pytest
import yaml

from local_panther import remembered
from tests.instance.conftest import archive
from tests.instance.test_uploads import one_rule

pytestmark = pytest.mark.process

SQL = "SELECT eventName FROM aws_cloudtrail WHERE eventName = '{}'"
KNOWN = "prepared"


def query(name: str, sql: str) -> dict[str, str]:
    spec = {"AnalysisType": "saved_query", "QueryName": name, "Query": sql}
    return {f"queries/{name}.yml": yaml.safe_dump(spec)}


@pytest.fixture
def database(tmp_path, monkeypatch):
    """An empty cache; returns the path of its results about queries."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "local-panther" / "queries.sqlite"


def rows(database) -> dict[str, str]:
    with closing(sqlite3.connect(database)) as connection:
        return dict(connection.execute("SELECT key, value FROM remembered"))


def test_results_about_the_queries_of_an_upload_are_cached(instance, database):
    sql = SQL.format("known")
    assert instance.upload(archive(query("q", sql)))["status"] == "COMPLETED"
    assert remembered.remembered(KNOWN, sql) == ""
    instance.refused(archive(query("r", "SELECT eventNam FROM aws_cloudtrail")))
    assert remembered.remembered(KNOWN, "SELECT eventNam FROM aws_cloudtrail") is None


def test_a_check_uses_what_the_cache_has(instance, database):
    """A query that is invalid shows it: it passes once the cache says that it has passed."""
    sql = "SELECT eventNam FROM aws_cloudtrail"
    assert "did you mean eventName" in instance.refused(archive(query("q", sql)))
    remembered.remember(KNOWN, {sql: ""})
    assert instance.upload(archive(query("q", sql)))["status"] == "COMPLETED"


@pytest.mark.attack("uploads")
@pytest.mark.parametrize(
    "value",
    ["(" * 3000 + "1" + ")" * 3000, "+".join(["1"] * 20_000), "CASE " * 1500],
    ids=["parentheses", "sum", "cases"],
)
def test_a_query_that_cannot_be_analysed_is_refused_with_its_file(instance, database, value):
    sql = f"SELECT {value} AS a FROM aws_cloudtrail"
    refusal = instance.refused(archive(query("q", sql)))
    assert "queries/q.yml: Query" in refusal and "import failed" not in refusal


def test_a_copy_of_a_full_store_keeps_the_latest_values(database):
    store = remembered.Store("test.sqlite", lambda: 3, str)
    store.keep("kind", {str(number): "x" for number in range(4)})
    store.detach(3)
    store.keep("kind", {"new": "x"})
    found = store.get_all("kind", ["0", "1", "2", "3", "new"])
    assert sorted(found) == ["2", "3", "new"]


@pytest.mark.attack("uploads")
@pytest.mark.parametrize(
    "action",
    [
        "remembered.remember('prepared', {SQL: ''})",
        "remembered._queries._copy.execute('DELETE FROM remembered')",
        "remembered._queries._copy = None; os.environ['XDG_CACHE_HOME'] = CACHE;"
        " remembered.remember('prepared', {SQL: ''})",
        "[os.write(n, b'x' * 9000) for n in range(3, 200) if os.path.realpath("
        "f'/proc/self/fd/{n}').startswith(CACHE)]",
        "ctypes.CDLL(None).unlink(CACHE.encode() + b'/local-panther/queries.sqlite')",
    ],
)
def test_uploaded_code_cannot_change_the_cache(instance, database, action):
    sql = "SELECT eventNam FROM aws_cloudtrail"
    valid = SQL.format("other")
    assert instance.upload(archive(query("q", valid)))["status"] == "COMPLETED"
    before = rows(database)
    body = (
        "import ctypes, os\nfrom local_panther import remembered\n"
        f"SQL, CACHE = {sql!r}, {str(database.parents[1])!r}\n"
        f"try:\n    {action}\nexcept Exception:\n    pass\n"
        "def rule(event):\n    return True\n"
    )
    instance.upload(archive(one_rule(body)))
    assert rows(database) == before
    assert remembered.remembered(KNOWN, sql) is None
