"""The photographic head: several photos become one textured 3D head.

`model.HeadModel.load()` is the mesh (5,400 vertices), moved by the same coefficients as the 72 points:
``vertices(shape, expression)`` (V, 3) in the head frame of ``landmarks/model.py``; ``triangles`` (T, 3),
front sides clockwise in a picture (y down); ``uv`` (V, 2) in 0..1, v downwards, left and right mirrored
at u = .5; ``region`` (V,) into ``model.REGIONS``; ``normals(vertices)``; ``posed(vertices, matrix)``
turns it, and the neck bends; ``landmarks`` and ``facemesh`` read points off its surface. Vertices are
double where the texture is cut; ``source`` (V,) names the place (G rows: ``mean``, ``geometry(...)``) of
each.

`bend.fit_head(records, fits, model)` bends it to a person: a `PersonGeometry` with ``vertices(expression)``
(V, 3) in the head frame, and ``in_photo(i)`` (V, 3): x, y px of photo i and z px towards the viewer, in
register with that photo's own points; ``photos[i]`` has its rotation, scale, translation and expression.
"""
