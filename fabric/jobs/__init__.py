"""A customer's work, from submission to result."""
