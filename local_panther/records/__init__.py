"""Reads CloudTrail files of any form into records in order of time, each once."""
