"""Float models -> int8 bundles that a device runs, with the gate that refuses a bad one."""
