"""The provider's agent. Few, small libraries; imports nothing from fabric."""
