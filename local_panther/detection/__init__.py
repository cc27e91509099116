"""Runs rules over records as an instance does: every match is a signal."""
