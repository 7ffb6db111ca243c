"""One-off makers of committed data."""
