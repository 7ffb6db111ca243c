"""The 3D face: shape model, fitting, posing, projection and drawing. Needs numpy alone."""
