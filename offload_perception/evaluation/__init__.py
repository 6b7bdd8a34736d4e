"""Measure a prepared model, and export its prefixes."""
