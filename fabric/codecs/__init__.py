"""Python values to and from named tensors; shared by API, actors and client."""
