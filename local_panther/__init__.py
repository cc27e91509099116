"""A local Panther: tests, tunes and replays Panther content without an instance.

Data flows one way, from `content` and `records` to `cli`: each package imports only from those
before it. The import contract in pyproject.toml checks their order; docs/architecture.md says what
each is for.

`simulate` is not part of that flow: it generates CloudTrail records.
"""
