"""Scenarios: packets."""
