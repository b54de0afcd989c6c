"""The first screen of the page: what needs a person, figures with their changes, sites ranked, receipts."""
