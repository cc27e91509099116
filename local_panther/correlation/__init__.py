"""Correlation rules: their grammar, and the one evaluator behind the replay and the unit tests.

Source: https://docs.panther.com/detections/correlation-rules and panther_analysis_tool's JSON
schema. Where Panther's documentation is silent, each module says which reading it takes.
"""
