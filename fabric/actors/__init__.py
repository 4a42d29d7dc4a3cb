"""Code that runs on provider machines. Holds no secret and opens no database."""
