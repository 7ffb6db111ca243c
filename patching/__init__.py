"""The model patch: what is added to a MODEL while the host samples it."""
