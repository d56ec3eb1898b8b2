"""Tests in which modalities are missing."""
