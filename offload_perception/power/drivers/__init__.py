"""Power meters: protocols, ports and readers."""
