"""What happened, told once, to those who listen."""
