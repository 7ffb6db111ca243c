"""Small networks of training: recognizers and a landmark regressor, and the crops they read."""
