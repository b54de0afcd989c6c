"""Tell people of changes: devices that need somebody, and figures beyond a threshold."""
