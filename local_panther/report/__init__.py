"""The report: one self-contained page with the alerts of a replay and their timelines."""
