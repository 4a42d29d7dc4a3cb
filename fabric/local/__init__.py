"""A whole fabric on one machine: embedded Postgres, Ray head, Serve, local providers, supervision."""
