"""Photos in, rated face records out."""
