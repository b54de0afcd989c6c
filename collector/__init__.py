"""MQTT -> CSV -> pandas -> page: receives the counts of devices, keeps them and shows them. No opencv or tensorflow."""
