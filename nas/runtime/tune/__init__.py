"""The modules that need Ray, imported only by an executor that runs."""
