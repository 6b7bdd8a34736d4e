"""What happens to a frame on the server: which are computed when, together, and for whom."""
