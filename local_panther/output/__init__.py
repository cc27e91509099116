"""Alerts, summaries and rows, printed for a person or written for a program."""
