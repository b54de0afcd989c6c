"""Languages of the page and the report: message catalogues, and numbers and dates as each language writes them."""
