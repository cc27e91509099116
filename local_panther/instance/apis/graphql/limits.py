"""Limits the size of GraphQL requests, with fragments expanded."""

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
)

MAX_TOKENS = 2000  # in a query; those of panther_analysis_tool have at most about 400
MAX_DEPTH = 20  # levels of fields; requests for the whole schema have 13
MAX_FIELDS = 1000  # with fragments expanded; each alias counts
MAX_OPERATIONS = 10  # fields of Query or Mutation; each alias counts


def check_size(document: DocumentNode) -> None:
    """Refuse a request that is too large.

    Raises:
        GraphQLError: The request exceeds a limit; the message names it.
    """
    fragments = {
        definition.name.value: definition
        for definition in document.definitions
        if isinstance(definition, FragmentDefinitionNode)
    }
    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode):
            _Size(fragments).add(definition.selection_set, 1, ())


class _Size:
    """A count of the fields of an operation, which stops at the limit."""

    def __init__(self, fragments: dict[str, FragmentDefinitionNode]) -> None:
        self._fragments = fragments
        self._fields = 0
        self._operations = 0

    def add(self, selections: SelectionSetNode, depth: int, within: tuple[str, ...]) -> None:
        """Count what is selected.

        Args:
            selections: What is selected.
            depth: In how many fields, and one.
            within: The fragments around it: one in itself is left to the validation.
        """
        if depth > MAX_DEPTH:
            raise GraphQLError(f"the query is nested more than {MAX_DEPTH} fields deep")
        for selection in selections.selections:
            if isinstance(selection, FieldNode):
                self._fields += 1
                self._operations += depth == 1
                if self._operations > MAX_OPERATIONS:
                    raise GraphQLError(f"the query asks for more than {MAX_OPERATIONS} operations")
                if selection.selection_set:
                    self.add(selection.selection_set, depth + 1, within)
            elif isinstance(selection, InlineFragmentNode):
                self.add(selection.selection_set, depth, within)
            elif isinstance(selection, FragmentSpreadNode):
                name = selection.name.value
                if name in self._fragments and name not in within:
                    self._fields += 1
                    self.add(self._fragments[name].selection_set, depth, (*within, name))
            if self._fields > MAX_FIELDS:
                raise GraphQLError(f"the query has more than {MAX_FIELDS} fields")
