"""The queries of a repository that a person runs by name, without the rest of its content."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sqlglot import exp

from local_panther.content.kinds import QUERY_KINDS
from local_panther.content.load import SQL_FIELDS
from local_panther.content.specs import read_specs, relative
from local_panther.content.sql import parameters_in, parse_sql, reads_only_cloudtrail
from local_panther.content.sql_text import rendered
from local_panther.errors import ContentError, FieldError, Problem

TIME_TYPES = (exp.DataType.Type.TIMESTAMP, exp.DataType.Type.TIMESTAMPNTZ)


@dataclass(frozen=True)
class SavedQuery:
    """A saved or scheduled query.

    Attributes:
        name: Its QueryName.
        where: Its file.
        description: What its answer means.
        text: Its SQL.
        templates: The texts of all queries by name, which it may import from.
    """

    name: str
    where: str
    description: str
    text: str
    templates: Mapping[str, str]

    @cached_property
    def sql(self) -> exp.Query:
        """Its SQL, parsed.

        Raises:
            ContentError: It cannot be run over CloudTrail.
        """
        try:
            sql = parse_sql(rendered(self.text, self.templates))
            if not reads_only_cloudtrail(sql):
                raise FieldError("reads other tables than aws_cloudtrail, which are not here")
        except FieldError as error:
            raise ContentError([Problem(self.where, f"{self.name}: {error}")]) from error
        return sql

    @cached_property
    def parameters(self) -> dict[str, exp.Expr]:
        """What a person sets before running it: the default of each, by name."""
        return {name: column.this for name, column in parameters_in(self.sql).items()}

    def with_values(self, given: Mapping[str, str]) -> dict[str, str]:
        """Return the values of its parameters; a text that is not given is empty.

        A saved query holds examples in the place of values, which nobody means.

        Raises:
            ValueError: A value is given that it does not have, or none of those that it needs.
        """
        unknown = [name for name in given if name not in self.parameters]
        if unknown:
            known = ", ".join(self.parameters) or "none"
            raise ValueError(f"{self.name} has no parameter {unknown[0]}; it has: {known}")
        times = [name for name, value in self.parameters.items() if _is_time(value)]
        texts = [name for name, value in self.parameters.items() if _is_text(value)]
        missing = [f"--set {name}=…" for name in times if name not in given]
        if texts and not set(texts) & given.keys():
            missing.append(" or ".join(f"--set {name}=…" for name in texts))
        if missing:
            raise ValueError(f"{self.name} needs {' and '.join(missing)}")
        return dict.fromkeys(texts, "") | dict(given)


def saved_queries(folder: Path) -> dict[str, SavedQuery]:
    """Return the queries in SQL of a repository, by name.

    Raises:
        ContentError: The folder holds no content.
    """
    templates: dict[str, str] = {}
    found = {}
    for item in read_specs(folder).items:
        spec = item.analysis_spec
        key = next((key for key in SQL_FIELDS if key in spec), None)
        if item.analysis_type() in QUERY_KINDS and key:
            name, where = item.analysis_id(), relative(item.file_name, folder)
            templates[name] = spec[key]
            description = " ".join(spec.get("Description", "").split())
            found[name] = SavedQuery(name, where, description, spec[key], templates)
    return dict(sorted(found.items()))


def named(queries: Mapping[str, SavedQuery], name: str) -> SavedQuery:
    """Return a query by its name, in any case.

    Raises:
        LookupError: There is none; the message names those that are like it.
    """
    by_name = {known.casefold(): query for known, query in queries.items()}
    if query := by_name.get(name.casefold()):
        return query
    near = [key for key in by_name if name.casefold() in key][:3]
    near = near or difflib.get_close_matches(name.casefold(), by_name, n=3)
    hint = " or ".join(f'"{by_name[key].name}"' for key in near)
    meant = f"; is it {hint}?" if hint else "; local-panther query lists them"
    raise LookupError(f"there is no query named {name!r}{meant}")


def _is_text(value: exp.Expr) -> bool:
    return isinstance(value, exp.Literal) and value.is_string


def _is_time(value: exp.Expr) -> bool:
    return isinstance(value, exp.Cast) and value.to.is_type(*TIME_TYPES)
