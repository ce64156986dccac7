"""What the pipeline's heavy steps cost, against what a careful person would type instead, in the same run."""
