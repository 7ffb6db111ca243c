"""A data set of people out of a collection of pictures: stages, the build, and what is done with it."""
