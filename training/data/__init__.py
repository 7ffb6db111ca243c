"""Training data: synthetic people, preparation, batches."""
