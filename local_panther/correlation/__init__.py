"""Correlation rules: the engine that runs them, and the evaluator that replay and unit tests share.

Source: https://docs.panther.com/detections/correlation-rules and panther_analysis_tool's JSON
schema. Where Panther's documentation is silent, the docstrings say which behaviour is assumed.
"""
