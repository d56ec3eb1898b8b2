"""Galleries of vectors that are searched, kept in a file or in Milvus."""
