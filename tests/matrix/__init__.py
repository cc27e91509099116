"""Tests of the built wheel with the versions of Panther's packages that people have."""
