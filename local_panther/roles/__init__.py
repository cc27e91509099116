"""Calls about IAM roles: who tried and entered which roles, by the repository's own settings."""
