"""Runs GraphQL requests, after checking them against the limits and the schema."""

from importlib import resources
from typing import Any

from graphql import (
    GraphQLDirective,
    GraphQLError,
    GraphQLSchema,
    Source,
    build_schema,
    execute_sync,
    parse,
    specified_rules,
    validate,
)
from graphql.validation import MaxIntrospectionDepthRule

from local_panther.instance.apis import UNSUPPORTED
from local_panther.instance.apis.graphql.limits import MAX_TOKENS, check_size
from local_panther.instance.apis.graphql.operations.benchmarks import BenchmarkOperations
from local_panther.instance.apis.graphql.operations.content import ContentOperations
from local_panther.instance.apis.graphql.operations.lake import LakeOperations
from local_panther.instance.apis.graphql.operations.overview import OverviewOperations
from local_panther.instance.apis.graphql.operations.schemas import SchemaOperations
from local_panther.instance.instance import Instance

# https://spec.graphql.org/October2021/#DirectiveLocation
PLACES_AFTER_2021 = ("DIRECTIVE_DEFINITION",)


class Api:
    """A GraphQL schema whose fields an instance resolves."""

    def __init__(self, instance: Instance) -> None:
        self._content = ContentOperations(instance.library)
        operations = (
            self._content,
            SchemaOperations(instance.alerts),
            LakeOperations(instance),
            OverviewOperations(instance),
            BenchmarkOperations(instance),
        )
        self.schema = load_schema()
        for kind in filter(None, (self.schema.query_type, self.schema.mutation_type)):
            for name, field in kind.fields.items():
                (field.resolve,) = (getattr(o, name) for o in operations if hasattr(o, name))

    def answer(
        self, query: str, variables: dict[str, Any] | None, operation: str | None
    ) -> dict[str, Any]:
        """Run one GraphQL request and return the response as plain JSON.

        An invalid request gives errors in the response. A request for fields that the schema lacks
        is refused with the code that clients read as "not supported".
        """
        try:
            document = parse(Source(query), max_tokens=MAX_TOKENS)
            check_size(document)
            errors = validate(self.schema, document, [*specified_rules, MaxIntrospectionDepthRule])
        except GraphQLError as error:
            return {"errors": [_with_code(error, "GRAPHQL_PARSE_FAILED")]}
        except RecursionError:
            return {"errors": [{"message": "the query is nested too deeply"}]}
        if errors:
            return {"errors": [_unsupported(error) for error in errors]}
        result = execute_sync(
            self.schema, document, variable_values=variables, operation_name=operation
        )
        return dict(result.formatted)

    def close(self) -> None:
        """Refuse further uploads."""
        self._content.close()


def load_schema() -> GraphQLSchema:
    """Return the schema in `schema.graphql`, limited to the GraphQL specification of 2021.

    graphql-core adds a directive with a location that this specification lacks. Older clients, such
    as gql in mcp-panther, raise an exception for it when they load the schema.
    """
    schema = build_schema(
        resources.files(__package__).joinpath("schema.graphql").read_text("utf-8")
    )
    directives = []
    for directive in schema.directives:
        places = [place for place in directive.locations if place.name not in PLACES_AFTER_2021]
        if places:
            known: dict[str, Any] = {**directive.to_kwargs(), "locations": places}
            directives.append(GraphQLDirective(**known))
    parts: dict[str, Any] = {**schema.to_kwargs(), "directives": directives}
    return GraphQLSchema(**parts)


def _with_code(error: GraphQLError, code: str) -> dict[str, Any]:
    return {**error.formatted, "extensions": {"code": code}}


def _unsupported(error: GraphQLError) -> dict[str, Any]:
    refused = _with_code(error, "GRAPHQL_VALIDATION_FAILED")
    return {**refused, "message": f"{UNSUPPORTED}: {error.message}"}
