"""Alerts and the summary, for a person or for a program."""
