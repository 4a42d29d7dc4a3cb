"""A whole account over all parts: taking everything along, and the end."""
