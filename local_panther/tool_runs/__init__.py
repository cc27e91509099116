"""Runs panther_analysis_tool's unit tests, and writes their results as JUnit XML and for GitHub."""
