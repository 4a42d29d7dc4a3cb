"""Words every package may use. Imports nothing from fabric."""
