"""The queries of a repository that people run by name, loaded without the rest of its content."""

import difflib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sqlglot import exp

from local_panther.content.filled_sql import fill
from local_panther.content.items import ClassifiedAnalysis
from local_panther.content.kinds import QUERY_KINDS
from local_panther.content.parameters import parameter_value
from local_panther.content.queries import SQL_FIELDS, text_field
from local_panther.content.specs import read_specs, relative
from local_panther.content.sql import parameters_in, parse_sql, reads_only_cloudtrail
from local_panther.content.sql_text import QueryTexts, exported_macros
from local_panther.errors import ContentError, FieldError, Problem

TIME_TYPES = (exp.DataType.Type.TIMESTAMP, exp.DataType.Type.TIMESTAMPNTZ)


@dataclass(frozen=True)
class SavedQuery:
    """A saved or scheduled query.

    Attributes:
        name: Its QueryName.
        where: Its file, relative to the repository.
        description: What its answer means.
        written: Its SQL as written, which may be a template.
        texts: The texts of all queries, from which it may import.
        language: The key of its text if that is not in Snowflake's SQL, else "".
    """

    name: str
    where: str
    description: str
    written: str
    texts: QueryTexts
    language: str = ""

    @cached_property
    def text(self) -> str:
        """Its SQL as an instance would run it.

        Raises:
            ContentError: The query has no SQL that can be run.
        """
        with self._named():
            if self.language:
                raise FieldError(
                    f"has only {self.language}, but Snowflake's SQL runs here: add SnowflakeQuery"
                )
            text = self.texts.rendered(self.written)
            if self.is_imported_only:
                raise FieldError("has macros for other queries to import, and nothing to run")
            return text

    @property
    def is_imported_only(self) -> bool:
        """True for a query that contains nothing but macros for other queries."""
        return bool(exported_macros(self.written)) and not self.texts.get(self.name, "-").strip()

    @cached_property
    def sql(self) -> exp.Query:
        """Its parsed SQL.

        Raises:
            ContentError: The query cannot be run over CloudTrail.
        """
        with self._named():
            if not reads_only_cloudtrail(self._parsed):
                raise FieldError("must read aws_cloudtrail alone, the only table here")
        return self._parsed

    @cached_property
    def parameters(self) -> dict[str, exp.Expr]:
        """Its parameters: the example of each in the query, by name.

        Raises:
            ContentError: The query cannot be parsed.
        """
        return {name: column.this for name, column in parameters_in(self._parsed).items()}

    @cached_property
    def _parsed(self) -> exp.Query:
        with self._named():
            return parse_sql(self.text)

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Add the name and the file of the query to an error."""
        try:
            yield
        except FieldError as error:
            raise ContentError([Problem(self.where, f"{self.name}: {error}")]) from error

    def filled(self, given: Mapping[str, str]) -> str:
        """Return the text to paste into a console.

        Args:
            given: Values of its parameters as for `with_values`; if empty, the examples stay.

        Raises:
            ContentError: The query has no SQL, or it cannot be parsed.
            ValueError: As for `with_values`.
        """
        if not given:
            return self.text
        filled = fill(self.text, self.with_values(given))
        return filled.head + filled.rest

    def with_values(self, given: Mapping[str, str]) -> dict[str, str]:
        """Return the values to set for its parameters; a string that is not given is empty.

        The values written in a saved query are examples and must not be used as defaults.

        Raises:
            ValueError: A parameter is unknown, its value does not fit, or a required one is
                missing.
        """
        unknown = [name for name in given if name not in self.parameters]
        if unknown:
            known = ", ".join(self.parameters) or "none"
            raise ValueError(f"{self.name} has no parameter {unknown[0]}; its parameters: {known}")
        times = [name for name, value in self.parameters.items() if _is_time(value)]
        texts = [name for name, value in self.parameters.items() if _is_text(value)]
        missing = [f"--set {name}=…" for name in times if name not in given]
        if texts and not set(texts) & given.keys():
            missing.append(" or ".join(f"--set {name}=…" for name in texts))
        if missing:
            raise ValueError(f"{self.name} needs {' and '.join(missing)}")
        for name, value in given.items():
            try:
                parameter_value(self.parameters[name], value)
            except FieldError as error:
                raise ValueError(f"--set {name}=…: {error}") from error
        return dict.fromkeys(texts, "") | dict(given)


def saved_queries(folder: Path) -> dict[str, SavedQuery]:
    """Return the queries of a repository, by name.

    Raises:
        ContentError: The folder holds no content.
    """
    items = {
        item.analysis_id(): item
        for item in sorted(read_specs(folder).items, key=ClassifiedAnalysis.analysis_id)
        if item.analysis_type() in QUERY_KINDS
    }
    keys = {name: text_field(item.analysis_spec) for name, item in items.items()}
    written = {name: item.analysis_spec[keys[name]] for name, item in items.items()}
    texts = QueryTexts({name: text for name, text in written.items() if keys[name] in SQL_FIELDS})
    return {
        name: SavedQuery(
            name,
            relative(item.file_name, folder),
            " ".join(item.analysis_spec.get("Description", "").split()),
            written[name],
            texts,
            "" if keys[name] in SQL_FIELDS else keys[name],
        )
        for name, item in items.items()
    }


def named(queries: Mapping[str, SavedQuery], name: str) -> SavedQuery:
    """Return the query with a name; case is ignored.

    Raises:
        LookupError: There is no such query; the message suggests similar names.
    """
    by_name = {known.casefold(): query for known, query in queries.items()}
    if query := by_name.get(name.casefold()):
        return query
    near = [key for key in by_name if name.casefold() in key][:3]
    near = near or difflib.get_close_matches(name.casefold(), by_name, n=3)
    hint = " or ".join(f'"{by_name[key].name}"' for key in near)
    meant = f"; did you mean {hint}?" if hint else "; local-panther query lists them"
    raise LookupError(f"there is no query named {name!r}{meant}")


def _is_text(value: exp.Expr) -> bool:
    return isinstance(value, exp.Literal) and value.is_string


def _is_time(value: exp.Expr) -> bool:
    return isinstance(value, exp.Cast) and value.to.is_type(*TIME_TYPES)
