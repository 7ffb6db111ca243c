"""The photographic head: several photos become one textured 3D head."""
