"""Who may see which sites: people and programs with tokens, and people whom a proxy has logged in."""
