"""A local Panther: tests, tunes and replays Panther content without an instance.

Data flows one way, and no stage knows what comes after it:

    records      CloudTrail files -> records in order of time
    content      a folder of Panther content -> rules, helpers, data models, correlation rules
    detection    records and rules -> signals
    lake         records and scheduled queries -> rows, and signals of the rules for them
    correlation  signals and correlation rules -> matches
    alerts       signals and matches -> alerts
    output       alerts -> terminal, JSON
    report       alerts and their timelines -> one page

Beside that flow, `instance` is a Panther instance's public API, `tuning` tells which threshold to
set, and `simulate` generates attacks.
"""
