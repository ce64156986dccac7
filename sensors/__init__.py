"""When things happen. Sensors only trigger: what happens stands in the asset graph."""
