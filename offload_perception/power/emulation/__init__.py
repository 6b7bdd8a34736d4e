"""A UM25C that is emulated on a pty, and the power that it shows."""
