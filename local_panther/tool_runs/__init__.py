"""Runs of panther_analysis_tool's unit tests, with results as JUnit XML and GitHub annotations."""
