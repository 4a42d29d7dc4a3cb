"""Request and response bodies; file names match routes/."""
