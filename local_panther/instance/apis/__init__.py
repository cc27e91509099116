"""The two public APIs, GraphQL and REST: they answer requests from what an instance keeps."""

UNSUPPORTED = "not supported by the local Panther"
