"""Copy a store into PostgreSQL: windows, hours, devices, labels and corrected shares, as tables and views."""
