"""Answers calls to the key-value store's table like DynamoDB, at a hundredth of moto's cost.

Through boto3, HTTP layers and moto's parsers, a call takes about 5 ms, and moto keeps every item in
Python objects. Here the calls of `panther_detection_helpers.caching` are answered from SQLite,
which keeps all but a few megabytes on disk. Other calls are passed to moto together with the
affected item, so that moto decides their results.
"""

import pickle
import re
import sqlite3
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache, cached_property
from typing import Any

from local_panther.detection.clock import EventClock

Item = dict[str, Any]

KEY = "key"
EXPIRES = "expiresAt"
MAX_KEY_BYTES = 2048
MAX_ITEM_BYTES = 300_000  # pickled; moto decides whether a larger one exceeds DynamoDB's limit
MAX_PAGE_BYTES = 300_000  # pickled; moto decides where the first page of a larger table ends
LATE_DELETION = 48 * 3600  # seconds after expiry within which DynamoDB deletes an item
SWEEP_EVERY = 100_000  # writes
CACHE_KIB = 16 * 1024

# The update expressions of the helpers, and projections of simple names
UPDATE = re.compile(
    r"(?:(?P<verb>ADD|DELETE) (?P<name>#\w+) (?P<value>:\w+)|REMOVE (?P<removed>#\w+))?"
    r" ?(?:SET (?P<set_name>#\w+) = (?P<set_value>:\w+))?"
)
SIMPLE_NAMES = re.compile(r"\w+(, ?\w+)*")
UPDATE_ARGUMENTS = {
    "Key",
    "ReturnValues",
    "UpdateExpression",
    "ExpressionAttributeNames",
    "ExpressionAttributeValues",
    "ConditionExpression",
}


CONDITION_FAILED = "ConditionalCheckFailedException"


class _NotSimple(Exception):
    """A call in another form than the helpers', which moto must answer."""


class Table:
    """A stand-in for boto3's `Table`."""

    def __init__(self, make_ordinary: Callable[[], Any], clock: EventClock) -> None:
        """Start with no items.

        Args:
            make_ordinary: Creates the same table as a resource of boto3, emulated by moto; called
                when it is first needed.
            clock: The clock by which items expire.
        """
        self._make_ordinary = make_ordinary
        self._clock = clock
        self._writes = 0
        self._items = _database()
        self._items.execute(
            "CREATE TABLE items (key TEXT PRIMARY KEY, expires REAL, item BLOB) WITHOUT ROWID"
        )
        # One transaction for the whole run: at the end of each, SQLite scans all changed pages.
        self._items.execute("BEGIN")

    @cached_property
    def _ordinary(self) -> Any:
        table = self._make_ordinary()
        exceptions = table.meta.client.exceptions
        setattr(exceptions, CONDITION_FAILED, _condition_failed())
        exceptions._code_to_exception[CONDITION_FAILED] = _condition_failed()
        return table

    def close(self) -> None:
        """Drop the items."""
        self._items.close()

    def rest(self) -> None:
        """Prepare for a fork, after which the forked process calls `move`."""
        self._items.execute("COMMIT")
        self._items.execute("BEGIN")

    def move(self) -> None:
        """Continue with a copy of the items in a forked process, as its parent uses the file.

        The parent must have called `rest` before the fork.
        """
        copy = _database()
        self._items.backup(copy)
        copy.execute("BEGIN")
        self._items = copy

    def get_item(self, **arguments: Any) -> dict[str, Any]:
        """Answer GetItem."""
        names = arguments.get("ProjectionExpression")
        is_simple = arguments.keys() <= {"Key", "ProjectionExpression", "ConsistentRead"}
        if not is_simple or (names is not None and not SIMPLE_NAMES.fullmatch(names)):
            return self._ordinarily("get_item", arguments)
        try:
            item = self._load(_key(arguments.get("Key")))
        except _NotSimple:
            return self._ordinarily("get_item", arguments)
        if item is None:
            return _answer()
        if names is not None:
            item = {name: item[name] for name in re.split(", ?", names) if name in item}
        return _answer(Item=item)

    def put_item(self, **arguments: Any) -> dict[str, Any]:
        """Answer PutItem."""
        item = arguments.get("Item")
        try:
            if arguments.keys() != {"Item"} or not isinstance(item, dict):
                raise _NotSimple
            self._save(_key({KEY: item.get(KEY)}), {k: _simple(v) for k, v in item.items()})
        except _NotSimple:
            return self._ordinarily("put_item", arguments, key=(item or {}).get(KEY))
        return _answer()

    def update_item(self, **arguments: Any) -> dict[str, Any]:
        """Answer UpdateItem."""
        try:
            return self._updated(arguments)
        except _NotSimple:
            return self._ordinarily("update_item", arguments)

    def delete_item(self, **arguments: Any) -> dict[str, Any]:
        """Answer DeleteItem."""
        return self._ordinarily("delete_item", arguments)

    def scan(self, **arguments: Any) -> dict[str, Any]:
        """Answer Scan."""
        found = [data for (data,) in self._items.execute("SELECT item FROM items")]
        if arguments or sum(map(len, found)) > MAX_PAGE_BYTES:
            answer: dict[str, Any] = self._with_all(self._ordinary.scan)(**arguments)
            return answer
        items = list(map(pickle.loads, found))
        return _answer(Items=items, Count=len(items), ScannedCount=len(items))

    def delete(self) -> Any:
        """Delete the table; later calls are answered by moto, with its errors."""
        for name in ("get_item", "put_item", "update_item", "delete_item", "scan", "query"):
            vars(self)[name] = getattr(self._ordinary, name)
        return self._ordinary.delete()

    def __getattr__(self, name: str) -> Any:
        """Pass any other call to moto, with all items."""
        ordinary = getattr(self._ordinary, name)
        if name in ("meta", "name", "table_name", "table_arn", "key_schema"):
            return ordinary
        return self._with_all(ordinary) if callable(ordinary) else ordinary

    def _updated(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        found = UPDATE.fullmatch(str(arguments.get("UpdateExpression")))
        returned = arguments.get("ReturnValues", "NONE")
        is_simple = arguments.keys() <= UPDATE_ARGUMENTS and returned in ("NONE", "UPDATED_NEW")
        if not found or not found[0] or not is_simple:
            raise _NotSimple
        names = dict(arguments.get("ExpressionAttributeNames") or {})
        values = dict(arguments.get("ExpressionAttributeValues") or {})
        key = _key(arguments.get("Key"))
        item = self._load(key)
        if not self._holds(arguments.get("ConditionExpression"), item):
            error = {"Code": CONDITION_FAILED, "Message": "The conditional request failed"}
            raise _condition_failed()({"Error": error}, "UpdateItem")
        if item is None:
            if found["verb"] != "ADD" and found["set_name"] is None:
                raise _NotSimple  # moto decides what happens to a missing item
            item = {KEY: key}
        changed: Item = {}
        if found["verb"]:
            attribute = _popped(names, found["name"])
            operand = _simple(_popped(values, found["value"]))
            changed[attribute] = OPERATIONS[found["verb"]](item.get(attribute), operand)
        if found["removed"]:
            changed[_popped(names, found["removed"])] = None
        if found["set_name"]:
            set_value = _simple(_popped(values, found["set_value"]))
            changed[_popped(names, found["set_name"])] = set_value
        if names or values or KEY in changed:
            raise _NotSimple  # unused names are an error
        item |= changed
        self._save(key, {name: value for name, value in item.items() if value is not None})
        if returned == "NONE":
            return _answer()
        return _answer(Attributes={name: v for name, v in changed.items() if v is not None})

    @staticmethod
    def _holds(condition: Any, item: Item | None) -> bool:
        """Evaluate the helpers' condition, `Attr(name).gte(number)`."""
        if condition is None:
            return True
        from boto3.dynamodb.conditions import Attr, GreaterThanEquals

        if type(condition) is not GreaterThanEquals:
            raise _NotSimple
        attribute, bound = condition._values
        if type(attribute) is not Attr or not SIMPLE_NAMES.fullmatch(attribute.name):
            raise _NotSimple
        stored = (item or {}).get(attribute.name)
        return isinstance(stored, Decimal) and stored >= _simple_number(bound)

    def _load(self, key: str) -> Item | None:
        found = self._items.execute("SELECT item FROM items WHERE key = ?", (key,)).fetchone()
        # Safe to unpickle, as only this object writes the database.
        return None if found is None else pickle.loads(found[0])

    def _save(self, key: str, item: Item, *, judged: bool = False) -> None:
        data = pickle.dumps(item, protocol=5)
        if len(data) > MAX_ITEM_BYTES and not judged:
            raise _NotSimple
        expires = item.get(EXPIRES)
        expires = float(expires) if isinstance(expires, Decimal) else None
        self._items.execute("REPLACE INTO items VALUES (?, ?, ?)", (key, expires, data))
        self._writes += 1
        if self._writes % SWEEP_EVERY == 0:
            deadline = self._clock.now - LATE_DELETION
            self._items.execute("DELETE FROM items WHERE expires < ?", (deadline,))

    def _ordinarily(
        self, operation: str, arguments: Mapping[str, Any], key: Any = None
    ) -> dict[str, Any]:
        """Let moto execute a call on the affected item, and store the item that results."""
        key = key or (arguments.get("Key") or {}).get(KEY)
        item = self._load(key) if isinstance(key, str) else None
        if item is not None:
            self._ordinary.put_item(Item=item)
        try:
            answer: dict[str, Any] = getattr(self._ordinary, operation)(**arguments)
            if isinstance(key, str) and operation != "get_item":
                after = self._ordinary.get_item(Key={KEY: key}).get("Item")
                if after is None:
                    self._items.execute("DELETE FROM items WHERE key = ?", (key,))
                else:
                    self._save(key, after, judged=True)
            return answer
        finally:
            if isinstance(key, str) and key:
                self._ordinary.delete_item(Key={KEY: key})

    def _with_all(self, ordinary: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            for (data,) in self._items.execute("SELECT item FROM items").fetchall():
                self._ordinary.put_item(Item=pickle.loads(data))
            try:
                return ordinary(*args, **kwargs)
            finally:
                for item in self._ordinary.scan()["Items"]:
                    self._ordinary.delete_item(Key={KEY: item[KEY]})

        return call


def _database() -> sqlite3.Connection:
    # "" stands for a temporary file, which SQLite creates once its cache is full.
    made = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    made.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    made.execute("PRAGMA journal_mode = OFF")
    return made


@cache
def _condition_failed() -> Any:
    """Return the exception class that boto3 has for this error, without creating a client."""
    from botocore.exceptions import ClientError

    return type(CONDITION_FAILED, (ClientError,), {})


def _answer(**parts: Any) -> dict[str, Any]:
    return {**parts, "ResponseMetadata": {"HTTPStatusCode": 200, "RetryAttempts": 0}}


def _key(given: Any) -> str:
    key = given.get(KEY) if isinstance(given, dict) and len(given) == 1 else None
    if not isinstance(key, str) or not 0 < len(key.encode()) <= MAX_KEY_BYTES:
        raise _NotSimple
    return key


def _popped(mapping: dict[str, Any], name: str) -> Any:
    """Remove and return one of the names or values given for an expression."""
    if name not in mapping:
        raise _NotSimple
    return mapping.pop(name)


def _simple(value: Any) -> Any:
    """Return a text, a whole number or a set of texts in the type that boto3 would return."""
    kind = type(value)
    if kind is str:
        return value
    if kind in (set, frozenset) and value and all(type(entry) is str and entry for entry in value):
        return set(value)
    return _simple_number(value)


def _simple_number(value: Any) -> Decimal:
    is_number = type(value) is int or (type(value) is Decimal and value == int(value))
    if not is_number or abs(value) >= 10**30:
        raise _NotSimple
    return Decimal(int(value))


def _add(stored: Any, operand: Any) -> Any:
    if stored is None and not isinstance(operand, str):
        return operand
    if isinstance(stored, set) and isinstance(operand, set):
        return stored | operand
    if isinstance(stored, Decimal) and isinstance(operand, Decimal):
        return _simple_number(stored + operand)
    raise _NotSimple


def _delete(stored: Any, operand: Any) -> Any:
    if not isinstance(operand, set) or not (stored is None or isinstance(stored, set)):
        raise _NotSimple
    return (stored or set()) - operand or None


OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {"ADD": _add, "DELETE": _delete}
