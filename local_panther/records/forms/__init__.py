"""Finds CloudTrail records in files of many forms, by their content rather than their name."""
