"""A local Panther: tests, tunes and replays Panther content without an instance.

Data flows one way, and the folders are that flow: each imports only from those above it, which a
contract in pyproject.toml checks.

    errors, times   what every package needs
    content         a folder of Panther content -> rules, helpers, data models, queries
    records         CloudTrail files -> records in order of time, each once
    detection       records and rules -> signals
    correlation     signals and correlation rules -> matches
    lake            records and scheduled queries -> rows, and signals of the rules for them
    alerts          signals and matches -> alerts, with their timelines
    tuning          the alerts that each threshold and window would have given
    instance        a Panther instance's public API
    bundle          the detections that come along -> a content repository
    replay          all of it in one run
    output          alerts and summaries -> terminal, JSON
    report          alerts -> one HTML page
    cli             the commands

`simulate` generates CloudTrail beside that flow.
"""
