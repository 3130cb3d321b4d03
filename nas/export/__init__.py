"""Export: architectures, networks and weights in formats that other tools read."""
