"""Define the columns of the tables of windows and of cells, and find the label columns of a table."""

FIXED_COLUMNS = ()
DOUBTFUL_COLUMNS = ()
