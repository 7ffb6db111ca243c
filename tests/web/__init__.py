"""The front end in a real browser, and its limits."""
