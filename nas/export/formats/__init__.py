"""The formats that architectures and networks are exported to, each in a separate file."""
