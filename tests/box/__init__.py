"""Tests of the box that content code runs in."""
