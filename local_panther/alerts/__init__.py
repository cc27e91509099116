"""Alerts: what an analyst gets, made from signals and from correlation matches."""
