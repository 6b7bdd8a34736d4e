"""What telemetry adds up to: live lines, closing lines, reports."""
