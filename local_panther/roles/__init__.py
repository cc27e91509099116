"""Roles: who called, which roles they tried and entered, by the repository's own settings."""
