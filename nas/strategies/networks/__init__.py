"""The networks behind controllers; imported only where they are used, as they need torch."""
