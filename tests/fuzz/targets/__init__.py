"""The targets, by kind of file."""
