"""Panther's public REST API: https://docs.panther.com/panther-developer-workflows/api/rest."""
