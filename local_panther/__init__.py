"""A local Panther: tests, tunes and replays Panther content without an instance.

Data flows one way, and no stage knows what comes after it:

    records      CloudTrail files -> records in order of time
    content      a folder of Panther content -> rules, helpers, data models, correlation rules
    detection    records and rules -> signals and alerts
    correlation  signals and correlation rules -> alerts
    output       alerts -> terminal, JSON
"""
