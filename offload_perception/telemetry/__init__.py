"""Sums over telemetry: live lines, closing lines, reports."""
