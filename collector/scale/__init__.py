"""Work and storage of more than one machine: a Dask cluster, and object storage."""
