"""The methods of inspection, each in a separate file."""
