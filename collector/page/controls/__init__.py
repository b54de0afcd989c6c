"""The page's controls: their values, the cells that these select, and the parts that controls are made of."""
