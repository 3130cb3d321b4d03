"""How other libraries write architectures of the families here; one way a file, found by itself."""
