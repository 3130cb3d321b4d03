"""Search spaces and published networks; one family per file, found automatically."""
