"""Where records go: one file a target."""
