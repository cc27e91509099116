"""Threads read a database of the instance while another thread changes it."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from local_panther.instance.store.sqlite import SqliteDatabase

SCHEMA = "CREATE TABLE number(n INTEGER)"


@pytest.fixture
def database(tmp_path):
    with closing(SqliteDatabase(tmp_path / "a.sqlite", SCHEMA, 1)) as found:
        yield found


def rows_elsewhere(database):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(database.rows, "SELECT n FROM number").result(timeout=10)


def test_readers_neither_wait_for_a_change_nor_see_half_of_it(database):
    with database.change() as db:
        db.execute("INSERT INTO number VALUES (1), (2)")
        assert rows_elsewhere(database) == []
    assert rows_elsewhere(database) == [(1,), (2,)]


def test_a_change_that_fails_is_not_visible(database):
    with pytest.raises(ValueError, match="in the middle"), database.change() as db:
        db.execute("INSERT INTO number VALUES (1)")
        raise ValueError("in the middle")
    assert rows_elsewhere(database) == []
