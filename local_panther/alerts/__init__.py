"""Alerts and incidents, made from signals of rules and matches of correlation rules."""
