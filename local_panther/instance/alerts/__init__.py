"""Alerts and incidents of an instance: their database, and delivery to a webhook."""
