"""Items of content, and the outcome of an upload."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from local_panther.errors import Problem


@dataclass(frozen=True)
class StoredItem:
    """An item of the stored content.

    Attributes:
        kind: Its AnalysisType.
        spec: Path of its YAML file in the content folder.
        body: Path of its Python file there, "" if it has none.
        digest: SHA-256 of both files.
        created: When it was first stored, in ISO 8601; "" if an older version stored it.
        modified: When its files last changed, in the same form.
    """

    kind: str
    spec: str
    body: str
    digest: str
    created: str = ""
    modified: str = ""

    def __post_init__(self) -> None:
        """Refuse fields that are not text, as forged JSON may hold.

        Raises:
            TypeError: A field is not text.
        """
        if not all(isinstance(value, str) for value in vars(self).values()):
            raise TypeError("a field of an item is not text")


@dataclass(frozen=True)
class CheckedUpload:
    """The result of the check of an upload.

    Attributes:
        problems: The problems, each with its file in the archive.
        items: The items of the upload, by ID.
        files: The file of each item in the archive, by ID.
    """

    problems: list[Problem] = field(default_factory=list)
    items: dict[str, StoredItem] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the result as plain JSON, for `from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "CheckedUpload":
        """Return the result from the JSON that `as_json` returned.

        Raises:
            LookupError, TypeError, AttributeError: The JSON has another form.
        """
        return cls(
            problems=[Problem(**problem) for problem in plain["problems"]],
            items={item_id: StoredItem(**item) for item_id, item in plain["items"].items()},
            files=dict(plain["files"]),
        )


@dataclass
class Counts:
    """How many items of one kind an upload holds."""

    new: int = 0
    modified: int = 0
    total: int = 0


@dataclass(frozen=True)
class UploadOutcome:
    """The outcome of an upload.

    Attributes:
        problems: The problems; if there are any, nothing was stored.
        statistics: The number of its items, by the name of their kind in the API.
    """

    problems: list[Problem] = field(default_factory=list)
    statistics: dict[str, Counts] = field(default_factory=dict)
