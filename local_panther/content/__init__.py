"""Panther content: what is in a repository, checked and made to run as on an instance."""
