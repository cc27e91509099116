"""A local Panther: tests, tunes and replays Panther content without an instance.

Data flows one way, from `content` and `records` to `cli`: each package imports only from those
before it. The contract in pyproject.toml has their order and checks it; docs/architecture.md says
what each is for.

`simulate` generates CloudTrail beside that flow.
"""
