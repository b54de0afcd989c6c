"""What has arrived in the last day, summed up in memory, so that no view of the present reads files."""
