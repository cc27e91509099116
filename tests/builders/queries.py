"""The queries of this repository."""

import yaml

from local_panther.content.sql_text import QueryTexts
from tests.builders.unlisted import CONTENT

MACROS = "aws_role_macros"
WRITTEN = {path.stem: path.read_text() for path in sorted((CONTENT / "queries").glob("*.yml"))}
TEXTS = QueryTexts(
    {spec["QueryName"]: spec["SnowflakeQuery"] for spec in map(yaml.safe_load, WRITTEN.values())}
)


def query_specs() -> dict[str, dict]:
    """Return the specs of all runnable queries by file stem, with the text an instance runs."""
    specs = {stem: yaml.safe_load(text) for stem, text in WRITTEN.items() if stem != MACROS}
    return {
        stem: {**spec, "SnowflakeQuery": TEXTS[spec["QueryName"]]} for stem, spec in specs.items()
    }
