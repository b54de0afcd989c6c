"""Train float models from published data and measure them."""
