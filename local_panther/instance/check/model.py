"""What an instance stores, and what becomes of an upload."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from local_panther.errors import Problem


@dataclass(frozen=True)
class StoredItem:
    """An item of the stored content.

    Attributes:
        kind: Its AnalysisType.
        spec: Its YAML file in the content folder.
        body: Its Python file there, "" if it has none.
        digest: SHA-256 of both.
        created: When it was stored first, in ISO 8601; "" if that was not noted.
        modified: When what is stored of it changed last.
    """

    kind: str
    spec: str
    body: str
    digest: str
    created: str = ""
    modified: str = ""

    def __post_init__(self) -> None:
        """Refuse what JSON may hold in place of text.

        Raises:
            TypeError: A field is not text.
        """
        if not all(isinstance(value, str) for value in vars(self).values()):
            raise TypeError("a field of an item is not text")


@dataclass(frozen=True)
class CheckedUpload:
    """What the check of an upload found.

    Attributes:
        problems: Each with its file in the archive.
        items: The items of the upload, by ID.
        files: The file of each item in the archive, by ID.
    """

    problems: list[Problem] = field(default_factory=list)
    items: dict[str, StoredItem] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON, for `from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "CheckedUpload":
        """Read what `as_json` returned.

        Raises:
            LookupError, TypeError, AttributeError: It is anything else.
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
    """What became of an upload.

    Attributes:
        problems: What is wrong with it; nothing was stored if there is any.
        statistics: Its items, by the name under which the API counts their kind.
    """

    problems: list[Problem] = field(default_factory=list)
    statistics: dict[str, Counts] = field(default_factory=dict)
